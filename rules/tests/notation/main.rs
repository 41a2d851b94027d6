//! The notation for packets: what each word becomes, what a foreign dissector says of the frames,
//! and what is told of mistakes.

#[cfg(test)]
mod dissector;
#[cfg(test)]
mod documentation;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod random;
