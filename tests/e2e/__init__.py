"""The whole on a real cluster: the chart's operator, real stages on tiny models, faults on purpose."""
