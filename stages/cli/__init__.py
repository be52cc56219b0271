"""What the commands share: shell, options, progress, printing, subprocesses."""
