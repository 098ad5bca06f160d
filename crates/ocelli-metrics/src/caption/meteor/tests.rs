use super::*;

fn meteor(mode: MeteorMode) -> Meteor {
    Meteor::new(MeteorOptions::english(mode), None).unwrap()
}

fn scored(units: &[(&str, &[&str])]) -> (Meteor, CaptionScores) {
    let mut meteor = meteor(MeteorMode::ExactStem);
    units.iter().for_each(|(candidate, references)| meteor.push(candidate, references).unwrap());
    let scores = meteor.scores().unwrap();
    (meteor, scores)
}

#[test]
fn hyphened_words_are_cut_again() {
    let (meteor, _) = scored(&[("mid-air", &["mid air"])]);
    assert_eq!((meteor.records()[0].candidate_words, meteor.records()[0].candidate_matched), (2, 2));
}

#[test]
fn equal_sentences_score_one() {
    let (_, scores) = scored(&[("a dog runs", &["the dogs ran", "a dog runs"])]);
    assert!((scores.corpus - 1.0).abs() < 1e-12);
}

#[test]
fn nothing_in_common_scores_zero() {
    let (_, scores) = scored(&[("a dog", &["two cats"]), ("", &["two cats"]), ("a", &[""]), ("", &[""])]);
    assert_eq!(scores.sentences, [0.0; 4]);
    assert_eq!(scores.corpus, 0.0);
}

#[test]
fn a_perfect_sentence_adds_no_chunk() {
    let units: &[(&str, &[&str])] = &[("a dog runs", &["a dog runs"]), ("the cat", &["a cat"])];
    let (meteor, scores) = scored(units);
    let mut sum = meteor.records()[0];
    sum.chunks = 0;
    sum.add(&meteor.records()[1]);
    assert_eq!((meteor.records()[0].chunks, sum.chunks), (1, 1));
    assert_eq!(scores.corpus, sum.score(&MeteorOptions::english(MeteorMode::ExactStem)));
}

#[test]
fn the_corpus_sums_statistics() {
    let (_, scores) = scored(&[("dog", &["dog"]), ("cat bird fish fox", &["wolf"])]);
    let mean = scores.sentences.iter().sum::<f64>() / 2.0;
    assert!((scores.corpus - mean).abs() > 0.01, "{scores:?}");
}

#[test]
fn equal_hashes_are_not_equal_words() {
    // Java's hash, which the tool compares.
    let hash = |word: &str| word.chars().fold(0_u32, |h, c| h.wrapping_mul(31).wrapping_add(c.into()));
    let (one, two) = ("aā", "bâ");
    assert_eq!(hash(one), hash(two));
    assert_eq!(meteor(MeteorMode::Exact).record(one, &[two]).unwrap().candidate_matched, 0);
}

#[test]
fn stages_that_need_tables_ask_for_them() {
    let error = Meteor::new(MeteorOptions::english(MeteorMode::Full), None).unwrap_err().to_string();
    assert!(error.contains("METEOR's tables"), "{error}");
    let mut options = MeteorOptions::english(MeteorMode::Exact);
    options.alpha = f64::NAN;
    assert!(Meteor::new(options, None).is_err());
}

#[test]
fn synonyms_and_paraphrases_match() {
    let mut tables = MeteorTables::default();
    tables.synonyms.add_sets("guy", vec![9, 2]);
    tables.synonyms.add_sets("man", vec![2, 4]);
    tables.paraphrases.add("a lot of", "many");
    let options = MeteorOptions::english(MeteorMode::Full);
    let meteor = Meteor::new(options, Some(Arc::new(tables))).unwrap();
    let stats = meteor.record("many guys", &["a lot of men"]).unwrap();
    assert_eq!(stats.stages[3].candidate_content + stats.stages[3].candidate_function, 1);
    assert_eq!(stats.stages[3].reference_content + stats.stages[3].reference_function, 3);
    assert_eq!((stats.stages[2].candidate_content, stats.chunks), (1, 1));
}

#[test]
fn merging_gives_exactly_the_single_pass() {
    let units: &[(&str, &[&str])] = &[("a dog", &["the dogs"]), ("a b", &["a c", "b a"]), ("x", &["x"])];
    let (_, whole) = scored(units);
    for cut in 0..=units.len() {
        let mut left = meteor(MeteorMode::ExactStem);
        units[..cut].iter().for_each(|(c, r)| left.push(c, r).unwrap());
        let mut right = meteor(MeteorMode::ExactStem);
        right.push_all(&units[cut..].iter().map(|(c, r)| (*c, r.to_vec())).collect::<Vec<_>>()).unwrap();
        left.merge(right).unwrap();
        assert_eq!(left.scores().unwrap(), whole);
    }
}

/// Alignments for which the beam search's habits matter, with what METEOR 1.5 itself says of them.
#[test]
fn alignments_equal_those_of_the_tool() {
    let score = |candidate: &str, reference: &str| {
        let stats = meteor(MeteorMode::ExactStem).record(candidate, &[reference]).unwrap();
        let stems = stats.stages[1].candidate_content + stats.stages[1].candidate_function;
        (stats.candidate_matched, stems, stats.chunks)
    };
    let sauce = "sauce in the kitchen sauce the man kitchen kitchen making making sauce";
    assert_eq!(score(sauce, "the man kitchening the is making a sauceing in"), (7, 2, 4));
    assert_eq!(score("a b a b c", "b a c a b"), (5, 0, 4));
    assert_eq!(score("the man the dog", "the dog the man the cat"), (4, 0, 2));
    assert_eq!(score("a dog a dog a cat runs", "dogs a cat a dog running a"), (7, 2, 4));
    assert_eq!(score("on a table a cat on a mat", "a cat sits on a mat on a table"), (8, 0, 3));
}

#[test]
fn a_single_stemmed_word_may_be_passed_over() {
    let matched =
        |reference| meteor(MeteorMode::ExactStem).record("dogs", &[reference]).unwrap().candidate_matched;
    assert_eq!((matched("dog"), matched("dog dog")), (1, 0));
}
