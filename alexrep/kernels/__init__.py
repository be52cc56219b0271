"""Fused kernels for NVIDIA GPUs, in Triton; each must equal a plain form, which lies elsewhere."""
