"""The other end of the cable: device physics, virtual chips and simulated instruments."""
