//! Runs the firewall on several kernels in virtual machines.
