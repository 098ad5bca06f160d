use ocelli_vectors::index::*;
fn read(path: &str) -> (Vec<f32>, usize) {
    let b = std::fs::read(path).unwrap();
    let dim = u32::from_le_bytes(b[..4].try_into().unwrap()) as usize;
    let v = b.chunks_exact(4 * (dim + 1)).flat_map(|r| r[4..].chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect::<Vec<_>>()).collect();
    (v, dim)
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let mut total = 0f64;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        if let Ok(s) = std::fs::read_to_string(t.unwrap().path().join("schedstat")) {
            total += s.split(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    let _ = s;
    total / 1e9
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (base, dim) = read(&a[1]);
    let (q, _) = read(&a[2]);
    let truth: Vec<u32> = read(&a[3]).0.iter().map(|f| f.to_bits()).collect();
    let per = truth.len() / (q.len() / dim);
    let get = |k: &str, d: &str| std::env::var(k).unwrap_or(d.into());
    let config = BuildConfig {
        partitions: get("L", "").parse().ok(),
        block_dims: get("B", "2").parse().unwrap(),
        spill: get("SOAR", "").parse().ok().map(|lambda| Spill { lambda }),
        storage: match get("ST", "f32").as_str() { "f16" => Storage::F16, "i8" => Storage::Int8, _ => Storage::F32 },
        iterations: get("IT", "10").parse().unwrap(),
        ..BuildConfig::default()
    };
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    let t = cpu();
    let rows = Rows::new("base", &base, dim).unwrap();
    let index = Index::build(rows, None, &config).unwrap();
    println!("build {:.2} s  L {}", (cpu() - t), index.partitions());
    let queries = Rows::new("q", &q, dim).unwrap();
    let nq = queries.count();
    for leaves in get("LEAVES", "8,16,32,64").split(',') {
        for reorder in get("R", "30,100").split(',') {
            let p = SearchParams { k: 10, leaves: leaves.parse().unwrap(), reorder: reorder.parse().unwrap() };
            let t = cpu();
            let hits = index.search(queries, &p).unwrap();
            let batch = (cpu() - t);
            let t = cpu();
            for i in 0..nq.min(get("NS","2000").parse().unwrap()) {
                index.search(Rows::new("q", queries.row(i), dim).unwrap(), &p).unwrap();
            }
            let single = (cpu() - t) / nq.min(get("NS","2000").parse().unwrap()) as f64;
            let mut good = 0;
            for i in 0..nq {
                let t = &truth[i * per..i * per + 10];
                good += hits.ids[i * 10..i * 10 + 10].iter().filter(|x| t.contains(&(**x as u32))).count();
            }
            println!("leaves {leaves} reorder {reorder}: recall {:.4}  batch {:.0}/s single {:.0}/s", good as f64 / (nq * 10) as f64, nq as f64 / batch, 1.0 / single);
        }
    }
}
