"""The stages of a refresh, each one a container: `python -m modelrefresh_jobs <stage>`."""
