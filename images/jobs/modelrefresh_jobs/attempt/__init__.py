"""One attempt of a stage in a pod: from the request in the environment to a recorded result."""
