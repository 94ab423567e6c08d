# src/jail
