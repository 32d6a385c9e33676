use std::sync::Arc;

use pipe_core::{ErrorKind, SecretData, SecretValue, SecretsPlugin};

use super::{expect_kind, read, round_trip, unused, writes};

fn keys(count: usize) -> SecretData {
    (0..count).map(|i| (format!("key-{i:05}"), format!("value-{i}"))).collect()
}

/// A value of this many bytes that no compression makes small.
fn bytes(count: usize) -> SecretValue {
    let mut state = 1_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    };
    (0..count).map(letter).collect::<Vec<u8>>().into()
}

/// As many keys as are declared work.
pub async fn many_keys_round_trip(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let count = plugin.capabilities().max_keys.min(5_000);
        round_trip(&plugin, &unused(&plugin, "keys"), keys(count)).await;
        // The second write knows a version, and may need more of the request for it.
        let changed = keys(count).with("key-00000", "changed");
        let at = unused(&plugin, "keys-twice");
        round_trip(&plugin, &at, keys(count)).await;
        round_trip(&plugin, &at, changed).await;
    }
}

/// One key more is refused, and nothing is stored.
pub async fn more_keys_than_declared_are_refused(plugin: Arc<dyn SecretsPlugin>) {
    let limit = plugin.capabilities().max_keys;
    if writes(&plugin) && limit < 100_000 {
        let at = unused(&plugin, "too-many-keys");
        expect_kind(plugin.create_secret(&at, keys(limit + 1)).await, ErrorKind::InvalidArgument);
        assert_eq!(read(&plugin, &at).await, None);
    }
}

/// A secret of exactly the declared size works.
pub async fn a_secret_at_the_declared_limit_round_trips(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let limit = plugin.capabilities().max_secret_bytes;
        let data = SecretData::new().with("large", bytes(limit - 2)).with("small", "xy");
        round_trip(&plugin, &unused(&plugin, "at-limit"), data).await;
    }
}

/// One byte more is refused, whether in one value or in several, and nothing is stored.
pub async fn a_secret_past_the_declared_limit_is_refused(plugin: Arc<dyn SecretsPlugin>) {
    if writes(&plugin) {
        let limit = plugin.capabilities().max_secret_bytes;
        let one = SecretData::new().with("large", bytes(limit + 1));
        let two = SecretData::new().with("large", bytes(limit)).with("small", "x");
        for data in [one, two] {
            let at = unused(&plugin, "past-limit");
            expect_kind(plugin.create_secret(&at, data).await, ErrorKind::InvalidArgument);
            assert_eq!(read(&plugin, &at).await, None);
        }
    }
}
