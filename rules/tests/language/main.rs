//! The rule language as its users meet it: what is understood, and what is said of the rest.

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod enabled;
mod errors;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod parser;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod sets;
#[cfg(test)]
mod support;
