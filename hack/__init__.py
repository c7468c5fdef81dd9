"""What builds, generates and starts things around the project; no part of what is installed."""
