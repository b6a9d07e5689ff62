"""The whole cloud on one machine: emulator with a journal, deployer, clock, carriers' outside world, front door."""
