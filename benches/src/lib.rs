//! Traffic generation with pnet, test networks, and benchmarks.
