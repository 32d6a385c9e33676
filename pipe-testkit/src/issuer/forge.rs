//! ECDSA signatures as nobody makes them.

/// The order of P-256.
pub const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The twin (r, n − s) of an ES256 signature (r, s), which verifies as well as it.
#[must_use]
pub fn twin(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let mut twin = r.to_vec();
    let mut difference = vec![0; s.len()];
    let mut borrow = 0_i16;
    for i in (0..s.len()).rev() {
        let digit = i16::from(P256_ORDER[i]) - i16::from(s[i]) - borrow;
        borrow = i16::from(digit < 0);
        difference[i] = digit.rem_euclid(256).try_into().unwrap_or_default();
    }
    twin.extend(difference);
    twin
}

/// The same signature in ASN.1, as everything but JOSE writes it.
#[must_use]
pub fn der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let numbers = [integer(r), integer(s)].concat();
    [vec![0x30, small(numbers.len())], numbers].concat()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let mut number = bytes[start..].to_vec();
    if number[0] >= 0x80 {
        number.insert(0, 0);
    }
    [vec![0x02, small(number.len())], number].concat()
}

fn small(length: usize) -> u8 {
    length.try_into().unwrap_or(u8::MAX)
}
