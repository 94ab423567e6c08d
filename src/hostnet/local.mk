# src/hostnet
