# src/rpc
