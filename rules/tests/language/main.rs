//! The rule language from the user's view: the meaning of valid files, and the messages for faulty
//! ones.

#[cfg(test)]
mod direction;
#[cfg(test)]
mod documentation;
#[cfg(test)]
mod enabled;
mod errors;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod lists;
mod needs;
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
mod states;
#[cfg(test)]
mod support;
