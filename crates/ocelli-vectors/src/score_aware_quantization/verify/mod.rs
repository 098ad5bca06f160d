//! The components of the reference cases.

mod metric;

use ocelli_method::array::Array;
use ocelli_method::method::{Component, Outputs, Replay, ReplayError};
use serde::Deserialize;

use super::{
    Codebook, Encoder, Eta, JointTraining, Loss, Partitions, QuantizationError, ScoreTable, Search,
    VectorQuantizer, Weights, eta_exact, eta_limit, pack as pack_codes, partition_center as center_of,
    search as search_one,
};

pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "weights", run: weights },
    Component { name: "loss", run: loss },
    Component { name: "vq", run: vq },
    Component { name: "partition_center", run: partition_center },
    Component { name: "pq_train", run: pq_train },
    Component { name: "encode", run: encode },
    Component { name: "search", run: search },
    Component { name: "lut", run: lut },
    Component { name: "pack", run: pack },
    Component { name: "metric", run: metric::metric },
];

type Run = Result<Outputs, ReplayError>;

/// What the crate's own code refuses.
fn refused(error: QuantizationError) -> ReplayError {
    ReplayError::refused(error)
}

fn grid(values: Vec<f64>, shape: &[usize]) -> Result<Array, ReplayError> {
    Array::vector_f64(values).reshaped(shape.to_vec()).map_err(ReplayError::refused)
}

fn codes_grid(codes: &[usize], shape: &[usize]) -> Result<Array, ReplayError> {
    let codes = Array::integers(codes.iter().map(|&c| c as i64));
    codes.reshaped(shape.to_vec()).map_err(ReplayError::refused)
}

/// Numbers that count something.
fn counts(replay: &Replay<'_>, name: &str) -> Result<Vec<usize>, ReplayError> {
    let number =
        |&v: &i64| usize::try_from(v).map_err(|_| ReplayError::refused(format!("{name}: {v} is below 0")));
    replay.integers(name)?.iter().map(number).collect()
}

/// The blocks `book0`, `book1`, ….
fn codebook(replay: &Replay<'_>) -> Result<Codebook, ReplayError> {
    let mut blocks = Vec::new();
    while replay.case.inputs.contains_key(&format!("book{}", blocks.len())) {
        let name = format!("book{}", blocks.len());
        let [_, length] = replay.dims(&name)?;
        blocks.push((length, replay.doubles(&name)?));
    }
    Codebook::new(blocks).map_err(refused)
}

fn weights(replay: &Replay<'_>) -> Run {
    #[derive(Deserialize)]
    struct Config {
        dim: usize,
        threshold: f64,
    }
    let Config { dim, threshold } = replay.config()?;
    let norms = replay.doubles("norm")?;
    let each = |of: fn(f64, f64, usize) -> super::Result<f64>| {
        let values: Result<Vec<f64>, _> = norms.iter().map(|&norm| of(norm, threshold, dim)).collect();
        values.map(Array::vector_f64).map_err(refused)
    };
    Ok(Outputs::new().with("eta_exact", each(eta_exact)?).with("eta_limit", each(eta_limit)?))
}

fn loss(replay: &Replay<'_>) -> Run {
    let [count, dim] = replay.dims("x")?;
    let (h_par, h_orth) = (replay.doubles("h_par")?, replay.doubles("h_orth")?);
    let weights = Weights { parallel: &h_par, orthogonal: &h_orth };
    let loss = Loss::new(&replay.doubles("x")?, &replay.doubles("xq")?, dim, weights).map_err(refused)?;
    let column = |of: fn(&super::PointLoss) -> f64| Array::vector_f64(loss.points.iter().map(of));
    Ok(Outputs::new()
        .with("parallel", column(|p| p.parallel))
        .with("orthogonal", column(|p| p.orthogonal))
        .with("per_point", column(|p| p.loss))
        .with("loss", loss.mean)
        .with("grad.in.xq", grid(loss.gradient, &[count, dim])?))
}

fn vq(replay: &Replay<'_>) -> Run {
    #[derive(Deserialize)]
    struct Config {
        iters: usize,
    }
    let Config { iters } = replay.config()?;
    let [partitions, dim] = replay.dims("centers")?;
    let (x, h_par, h_orth) = (replay.doubles("x")?, replay.doubles("h_par")?, replay.doubles("h_orth")?);
    let weights = Weights { parallel: &h_par, orthogonal: &h_orth };
    let mut quantizer = VectorQuantizer::new(replay.doubles("centers")?, dim).map_err(refused)?;
    let (first, losses) = quantizer.assign(&x, weights).map_err(refused)?;
    let mut once = quantizer.clone();
    once.update(&x, weights, &first).map_err(refused)?;
    let (assigned, history) = quantizer.train(&x, weights, iters).map_err(refused)?;
    Ok(Outputs::new()
        .with("assign_first", codes_grid(&first, &[first.len()])?)
        .with("loss_first", Array::vector_f64(losses))
        .with("center0_first", Array::vector_f64(once.centers[..dim].iter().copied()))
        .with("centers", grid(quantizer.centers, &[partitions, dim])?)
        .with("assign", codes_grid(&assigned, &[assigned.len()])?)
        .with("loss_history", Array::vector_f64(history)))
}

fn partition_center(replay: &Replay<'_>) -> Run {
    #[derive(Deserialize)]
    struct Config {
        eta: f64,
    }
    let Config { eta } = replay.config()?;
    let [_, dim] = replay.dims("x")?;
    let x = replay.doubles("x")?;
    let center = |eta: f64| center_of(&x, dim, eta).map(Array::vector_f64).map_err(refused);
    Ok(Outputs::new().with("center", center(eta)?).with("center_eta1", center(1.0)?))
}

/// Adds the codewords of each block under a numbered name.
fn with_books(outputs: &mut Outputs, prefix: &str, codebook: &Codebook) -> Result<(), ReplayError> {
    for (number, (range, words)) in codebook.ranges_and_words().enumerate() {
        let shape = [words.len() / range.len(), range.len()];
        outputs.set(format!("{prefix}{number}"), grid(words.to_vec(), &shape)?);
    }
    Ok(())
}

fn pq_train(replay: &Replay<'_>) -> Run {
    #[derive(Deserialize)]
    struct Config {
        iters: usize,
        max_rounds: usize,
    }
    let Config { iters, max_rounds } = replay.config()?;
    let [count, _] = replay.dims("x")?;
    let (x, h_par, h_orth) = (replay.doubles("x")?, replay.doubles("h_par")?, replay.doubles("h_orth")?);
    let weights = Weights { parallel: &h_par, orthogonal: &h_orth };
    let mut book = codebook(replay)?;
    let shape = [count, book.blocks()];
    let nearest = book.nearest(&x).map_err(refused)?;
    let mut outputs = Outputs::new().with("codes_nearest", codes_grid(&nearest, &shape)?);
    let mut once = book.clone();
    once.update(&x, weights, &nearest).map_err(refused)?;
    let decoded = once.decode(&nearest).map_err(refused)?;
    let after = Loss::new(&x, &decoded, once.dim(), weights).map_err(refused)?;
    outputs.set("loss_after_first_update", after.mean);
    with_books(&mut outputs, "first_update", &once)?;
    let training = JointTraining { iterations: iters, max_rounds };
    let (codes, history) = training.train(&mut book, &x, weights).map_err(refused)?;
    outputs.set("codes", codes_grid(&codes, &shape)?);
    outputs.set("loss_history", Array::vector_f64(history));
    with_books(&mut outputs, "book", &book)?;
    Ok(outputs)
}

fn encode(replay: &Replay<'_>) -> Run {
    #[derive(Deserialize)]
    struct Config {
        threshold: Option<f64>,
        #[serde(default)]
        eta: serde_json::Value,
        max_rounds: usize,
        residual: bool,
    }
    let config: Config = replay.config()?;
    let eta = match (config.threshold, &config.eta) {
        (None, serde_json::Value::Number(eta)) => Eta::Fixed(eta.as_f64().unwrap_or(1.0)),
        (None, _) => Eta::Nearest,
        (Some(threshold), serde_json::Value::String(kind)) if kind == "exact" => Eta::Exact(threshold),
        (Some(threshold), _) => Eta::Limit(threshold),
    };
    let [count, dim] = replay.dims("x")?;
    let (book, x) = (codebook(replay)?, replay.doubles("x")?);
    let residuals = match config.residual {
        true => {
            let (centers, tokens) = (replay.doubles("centers")?, counts(replay, "token")?);
            let part = |(x, token): (&[f64], &usize)| {
                let center = centers.get(token * dim..(token + 1) * dim);
                let center = center.ok_or_else(|| ReplayError::refused(format!("no centre {token}")))?;
                Ok(x.iter().zip(center).map(|(a, b)| a - b).collect::<Vec<f64>>())
            };
            let parts: Result<Vec<_>, ReplayError> = x.chunks_exact(dim).zip(&tokens).map(part).collect();
            Some(parts?.concat())
        }
        false => None,
    };
    let encoder = Encoder { codebook: &book, max_rounds: config.max_rounds };
    let codes = encoder.encode(&x, residuals.as_deref(), eta).map_err(refused)?;
    Ok(Outputs::new().with("codes", codes_grid(&codes, &[count, book.blocks()])?))
}

fn search(replay: &Replay<'_>) -> Run {
    #[derive(Deserialize)]
    struct Config {
        k: usize,
        reorder: usize,
        leaves: Option<usize>,
        #[serde(default)]
        table: String,
    }
    let config: Config = replay.config()?;
    let integer = config.table != "float";
    let how =
        Search { k: config.k, reorder: config.reorder, leaves: config.leaves.unwrap_or(usize::MAX), integer };
    let [queries, dim] = replay.dims("q")?;
    let (book, x, codes) = (codebook(replay)?, replay.doubles("x")?, counts(replay, "codes")?);
    let tree = match replay.case.inputs.contains_key("centers") {
        true => Some((replay.doubles("centers")?, counts(replay, "token")?)),
        false => None,
    };
    let (mut ids, mut scores) = (Vec::new(), Vec::new());
    for query in replay.doubles("q")?.chunks_exact(dim) {
        let partitions = tree.as_ref().map(|(centers, tokens)| Partitions { centers, tokens });
        for found in search_one(&book, &codes, &x, partitions, query, how).map_err(refused)? {
            ids.push(found.id.map_or(-1, |id| id as i64));
            scores.push(found.score);
        }
    }
    let ids = Array::integers(ids).reshaped([queries, how.k]).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("ids", ids).with("scores", grid(scores, &[queries, how.k])?))
}

fn lut(replay: &Replay<'_>) -> Run {
    let [queries, dim] = replay.dims("q")?;
    let [points, blocks] = replay.dims("codes")?;
    let (book, codes) = (codebook(replay)?, counts(replay, "codes")?);
    book.check_codes(&codes, points).map_err(refused)?;
    let (mut table, mut integers, mut multipliers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut scores, mut scores_int) = (Vec::new(), Vec::new());
    for query in replay.doubles("q")?.chunks_exact(dim) {
        let float = ScoreTable::new(&book, query).map_err(refused)?;
        let whole = float.to_integers();
        for codes in codes.chunks_exact(blocks) {
            scores.push(float.score(codes));
            scores_int.push(i64::from(whole.score(codes)));
        }
        multipliers.push(whole.multiplier);
        integers.extend(whole.rows.concat().into_iter().map(i64::from));
        table.extend(float.rows.concat());
    }
    let words = table.len() / (queries * blocks).max(1);
    let shaped = |values: Vec<i64>, shape: &[usize]| {
        Array::integers(values).reshaped(shape.to_vec()).map_err(ReplayError::refused)
    };
    Ok(Outputs::new()
        .with("table", grid(table, &[queries, blocks, words])?)
        .with("table_int8", shaped(integers, &[queries, blocks, words])?)
        .with("multiplier", Array::vector_f64(multipliers))
        .with("scores", grid(scores, &[queries, points])?)
        .with("scores_int", shaped(scores_int, &[queries, points])?))
}

fn pack(replay: &Replay<'_>) -> Run {
    let [points, blocks] = replay.dims("codes")?;
    let packed = pack_codes(&counts(replay, "codes")?, blocks).map_err(refused)?;
    let shape = [points.div_ceil(super::GROUP), blocks, super::GROUP / 2];
    let packed = Array::new(shape, ocelli_method::array::Data::U8(packed)).map_err(ReplayError::refused)?;
    Ok(Outputs::new().with("packed", packed))
}
