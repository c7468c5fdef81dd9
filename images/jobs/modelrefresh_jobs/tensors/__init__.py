"""Number formats, and safetensors files as slices of tensors."""
