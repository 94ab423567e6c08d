# src/launcher
