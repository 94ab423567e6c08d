# src/loop
