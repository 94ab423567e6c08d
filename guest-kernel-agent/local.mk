# guest-kernel-agent
