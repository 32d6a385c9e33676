//! Whether suggestions are right, and as sure as they say: on integrations whose true rates are known.
//! The table is part of the crate's documentation, and compared with it.

use std::fmt::Write as _;

use pipe_core::memory::{
    DataPoint, GovernanceMemory, Integration, IntegrationPath, IntegrationStatus, MemoryKey,
};
use pipe_memory_cognee::LocalMemory;

const SETS: u64 = 200;
const INTEGRATIONS: usize = 200;
const PAIRS: usize = 6;
const PATHS: [IntegrationPath; 3] =
    [IntegrationPath::Hub, IntegrationPath::Direct, IntegrationPath::Mesh];

/// A path that was suggested or ranked behind, and how often it truly goes well.
struct Judged {
    confidence: f64,
    lower_bound: f64,
    truth: f64,
}

fn key(text: String) -> MemoryKey {
    MemoryKey::new(text).expect("legal")
}

/// One set of 200 integrations of six pairs of domains: for how many the best path came first, and
/// what was said of all of them.
async fn judge(seed: u64) -> (usize, Vec<Judged>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let truths: Vec<[f64; 3]> = (0..PAIRS)
        .map(|_| {
            let mut rates = [0.0; 3].map(|_| 0.1 + 0.45 * random.f64());
            rates[random.usize(..3)] = 0.85 + 0.1 * random.f64();
            rates
        })
        .collect();
    let points: Vec<DataPoint> = (0..INTEGRATIONS)
        .map(|i| {
            let (pair, path) = (i % PAIRS, i / PAIRS % 3);
            let ends = [key(format!("source{pair}")), key(format!("target{pair}"))];
            let [source, target] = ends;
            let status = match random.f64() < truths[pair][path] {
                true => IntegrationStatus::Connected,
                false => IntegrationStatus::Failed,
            };
            Integration::new(key(format!("INT-{i}")), source, target, PATHS[path].clone())
                .with_status(status)
                .into()
        })
        .collect();
    let memory = LocalMemory::new();
    memory.add_datapoints(&points, &[]).await.expect("there is room");
    let mut right = 0;
    let mut judged = Vec::new();
    for (pair, truths) in truths.iter().enumerate() {
        let (source, target) = (key(format!("source{pair}")), key(format!("target{pair}")));
        let suggestion = memory.suggest_integration_path(&source, &target).await;
        let suggestion = suggestion.expect("it is in the process").expect("there is evidence");
        let truth = |path: &IntegrationPath| {
            truths[PATHS.iter().position(|known| known == path).expect("one of the three")]
        };
        right += usize::from(truth(&suggestion.ranked[0].path) >= 0.85);
        judged.extend(suggestion.ranked.iter().map(|ranked| Judged {
            confidence: ranked.confidence.value,
            lower_bound: ranked.confidence.lower_bound,
            truth: truth(&ranked.path),
        }));
    }
    (right, judged)
}

#[tokio::test]
async fn the_best_path_comes_first_and_confidence_is_kept() {
    let (mut right, mut judged) = (0, Vec::new());
    for seed in 0..SETS {
        let (more, all) = judge(seed).await;
        right += more;
        judged.extend(all);
    }
    let pairs = SETS as f64 * PAIRS as f64;
    let first = 100.0 * right as f64 / pairs;
    let mut table = String::from(
        "| confidence | paths | mean confidence | true rate | true rate is not below the lower bound |\n\
         |---|---|---|---|---|\n",
    );
    for fifth in 0..5 {
        let (from, to) = (f64::from(fifth) * 0.2, f64::from(fifth + 1) * 0.2);
        let within = |judged: &&Judged| judged.confidence >= from && judged.confidence < to;
        let within: Vec<_> = judged.iter().filter(within).collect();
        if within.is_empty() {
            continue;
        }
        let mean = |value: fn(&Judged) -> f64| {
            within.iter().map(|judged| value(judged)).sum::<f64>() / within.len() as f64
        };
        let (confidence, truth) = (mean(|judged| judged.confidence), mean(|judged| judged.truth));
        let kept = 100.0 * mean(|judged| f64::from(u8::from(judged.truth >= judged.lower_bound)));
        assert!(truth >= confidence, "from {from:.1}: {confidence} is promised, {truth} is true");
        writeln!(
            table,
            "| {from:.1} to {to:.1} | {} | {confidence:.2} | {truth:.2} | {kept:.0} % |",
            within.len(),
        )
        .expect("a string takes everything");
    }
    let kept = judged.iter().filter(|judged| judged.truth >= judged.lower_bound).count();
    let kept = 100.0 * kept as f64 / judged.len() as f64;
    let sentence = format!("the best path comes first for {first:.1} % of the pairs");
    println!("{table}{sentence}; {kept:.1} %");
    assert!(first >= 95.0, "the best path comes first for {first:.1} %");
    assert!(kept >= 94.0, "the lower bound holds for {kept:.1} %");
    let readme = include_str!("../README.md");
    assert!(readme.contains(&table), "the table in README.md has to be:\n{table}");
    assert!(readme.contains(&sentence), "README.md has to say: {sentence}");
}
