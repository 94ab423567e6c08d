# src/vmm
