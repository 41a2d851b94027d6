//! Damage to frames, mostly in the headers.

use super::random::Random;

/// The number of bytes at the start of a frame where most damage is done.
const HEADERS: usize = 80;

/// Damages a frame in one to three ways: truncates it, changes a byte, a bit, or a 16-bit number by
/// a small amount, and removes or inserts bytes.
pub fn damage(random: &mut Random, frame: &mut Vec<u8>) {
    for _ in 0..random.pick([1, 1, 1, 2, 3]) {
        damage_once(random, frame);
    }
}

fn damage_once(random: &mut Random, frame: &mut Vec<u8>) {
    let reach = if random.percent(90) {
        frame.len().min(HEADERS)
    } else {
        frame.len()
    };
    let at = random.below(reach);
    match random.below(7) {
        0 => frame.truncate(random.below(frame.len() + 1)),
        1 => frame.truncate(at),
        2 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte = random.byte();
            }
        }
        3 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        4 => {
            let number = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
            if let Some(number) = number {
                let change = random.pick([1, 2, 4, 8, 0xffff, 0xfffe, 0xfffc, 0xfff8]);
                *number = u16::from_be_bytes(*number)
                    .wrapping_add(change)
                    .to_be_bytes();
            }
        }
        5 => {
            let count = random.within(0, 8).min(frame.len() - at);
            frame.drain(at..at + count);
        }
        _ => {
            let count = random.within(1, 8);
            frame.splice(at..at, (0..count).map(|_| random.byte()));
        }
    }
}
