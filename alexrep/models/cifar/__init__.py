"""The CIFAR-10 nets behind the paper's section 3.3 and figure 1."""
