"""What happens at each training step: it is logged, saved, left out where it is a spike, and seen to end."""
