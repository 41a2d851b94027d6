//! The notation for packets: the meaning of each word, the frames as seen by an independent
//! dissector, and the messages for mistakes.

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
