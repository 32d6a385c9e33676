//! What takes no network, in detail: `cargo bench -p pipe-bench`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pipe_bench::Instant;
use pipe_core::wrap::{CachePolicy, Cached};
use pipe_core::{SecretRef, SecretsPlugin};
use pipe_testkit::wrapped::stack;

/// Reads the same secret, over and over.
fn same(criterion: &mut Criterion, name: &str, plugin: &impl SecretsPlugin) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let secret = SecretRef::new("apps/db").expect("the name is legal");
    criterion.bench_function(name, |bencher| {
        bencher.to_async(&runtime).iter(|| plugin.get_secret(black_box(&secret)));
    });
}

/// Reads another secret each time.
fn distinct(criterion: &mut Criterion, name: &str, plugin: &impl SecretsPlugin) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let mut number = 0_u64;
    let mut next = || {
        number += 1;
        SecretRef::new(format!("apps/{number}/db")).expect("the name is legal")
    };
    criterion.bench_function(name, |bencher| {
        bencher.to_async(&runtime).iter_batched(
            &mut next,
            async |secret| plugin.get_secret(&secret).await,
            BatchSize::SmallInput,
        );
    });
}

fn reads(criterion: &mut Criterion) {
    same(criterion, "store", &Instant::new(64));
    same(criterion, "hit/cache", &Cached::new(Instant::new(64), CachePolicy::new()));
    same(criterion, "hit/all decorators", &stack(Instant::new(64)));
    distinct(criterion, "miss/cache", &Cached::new(Instant::new(64), CachePolicy::new()));
    distinct(criterion, "miss/all decorators", &stack(Instant::new(64)));
}

criterion_group!(benches, reads);
criterion_main!(benches);
