//! Bytes as a hex dump.

use crate::format::plural;

/// Number of bytes in a line.
const WIDTH: usize = 16;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Dumps the bytes in lines of 16: their position, their digits, and the printable characters among them. After
/// `max_lines`, one more line says how many bytes are left.
pub fn hex(bytes: &[u8], max_lines: usize) -> Vec<String> {
    let rows = bytes.chunks(WIDTH).take(max_lines).enumerate();
    let mut lines: Vec<String> = rows.map(|(row, bytes)| line(row * WIDTH, bytes)).collect();
    let left = bytes.len().saturating_sub(max_lines.saturating_mul(WIDTH));
    if left > 0 {
        lines.push(format!("… {}", plural(left as u64, "byte more", "bytes more")));
    }
    lines
}

fn line(at: usize, bytes: &[u8]) -> String {
    let mut line = format!("{at:04x} ");
    for column in 0..WIDTH {
        if column.is_multiple_of(8) {
            line.push(' ');
        }
        match bytes.get(column) {
            Some(byte) => line.extend([digit(byte >> 4), digit(byte & 15), ' ']),
            None => line.push_str("   "),
        }
    }
    line.push_str(" |");
    let is_letter = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    line.extend(bytes.iter().map(|byte| if is_letter(*byte) { char::from(*byte) } else { '.' }));
    line.push('|');
    line
}

fn digit(four_bits: u8) -> char {
    char::from(DIGITS[usize::from(four_bits)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_as_they_always_were() {
        let bytes: Vec<u8> = b"Hello, world 1 2\r\n~\x7f\xff".to_vec();
        assert_eq!(
            hex(&bytes, 10),
            [
                "0000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 20 31 20 32  |Hello, world 1 2|",
                "0010  0d 0a 7e 7f ff                                    |..~..|",
            ]
        );
        assert!(hex(&[], 10).is_empty());
    }

    #[test]
    fn there_is_an_end_to_it() {
        for (bytes, max_lines, count, last) in [
            (32, 2, 2, "0010  00 "),
            (33, 2, 3, "… 1 byte more"),
            (64, 2, 3, "… 32 bytes more"),
            (5, 0, 1, "… 5 bytes more"),
            (5, usize::MAX, 1, "0000  00 "),
        ] {
            let lines = hex(&vec![0; bytes], max_lines);
            assert_eq!(lines.len(), count);
            assert!(lines[count - 1].starts_with(last), "{lines:?}");
        }
    }
}
