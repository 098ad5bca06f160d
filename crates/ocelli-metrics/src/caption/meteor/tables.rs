//! METEOR's tables of synonyms and paraphrases, made from the lines of its data files.

use super::Stage;
use std::collections::HashMap;

/// Synonyms and paraphrases, which the stages of these names need.
#[derive(Clone, Debug, Default)]
pub struct MeteorTables {
    /// For [`Stage::Synonym`].
    pub synonyms: Synonyms,
    /// For [`Stage::Paraphrase`].
    pub paraphrases: Paraphrases,
}

impl MeteorTables {
    /// From what METEOR's files hold: base forms with their irregular forms, words with the numbers of their sets of
    /// synonyms, phrases with a paraphrase.
    pub fn from_parts(
        irregular: impl IntoIterator<Item = (String, String)>,
        synonyms: impl IntoIterator<Item = (String, Vec<u32>)>,
        paraphrases: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut tables = Self::default();
        irregular.into_iter().for_each(|(base, forms)| tables.synonyms.add_irregular(&base, &forms));
        synonyms.into_iter().for_each(|(word, sets)| tables.synonyms.add_sets(word, sets));
        paraphrases.into_iter().for_each(|(phrase, other)| tables.paraphrases.add(&phrase, &other));
        tables
    }

    /// Whether a stage looks into these tables.
    pub fn are_needed_by(stage: Stage) -> bool {
        matches!(stage, Stage::Synonym | Stage::Paraphrase)
    }
}

/// Sets of synonyms by word, and irregular forms, from WordNet.
#[derive(Clone, Debug, Default)]
pub struct Synonyms {
    bases: HashMap<String, Vec<String>>,
    sets: HashMap<String, Vec<u32>>,
}

/// Endings and what stands for them in the base form: of nouns, verbs, adjectives.
const ENDINGS: &[(&str, &str)] = &[
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

impl Synonyms {
    /// A base form and its irregular forms, separated by blanks.
    pub fn add_irregular(&mut self, base: &str, forms: &str) {
        for form in forms.split_whitespace() {
            self.bases.entry(form.to_owned()).or_default().push(base.to_owned());
        }
    }

    /// A word and the numbers of its sets.
    pub fn add_sets(&mut self, word: impl Into<String>, mut sets: Vec<u32>) {
        sets.sort_unstable();
        self.sets.insert(word.into(), sets);
    }

    /// The sets of a word and of its base form, sorted.
    pub(super) fn of(&self, word: &str) -> Vec<u32> {
        let mut all = self.sets.get(word).cloned().unwrap_or_default();
        match self.bases.get(word) {
            Some(bases) => {
                bases.iter().filter_map(|base| self.sets.get(base)).for_each(|sets| all.extend(sets))
            }
            None => all.extend(self.base(word).and_then(|base| self.sets.get(&base)).into_iter().flatten()),
        }
        all.sort_unstable();
        all
    }

    /// The base form of a regularly inflected word that has sets.
    fn base(&self, word: &str) -> Option<String> {
        if word.ends_with("ss") || word.encode_utf16().count() <= 2 {
            return None;
        }
        let found = ENDINGS.iter().find_map(|(ending, instead)| {
            let base = format!("{}{instead}", word.strip_suffix(ending)?);
            self.sets.contains_key(&base).then_some(base)
        });
        // No ending is one of `-ful`, but the tool would put it back.
        found.map(|base| if word.ends_with("ful") { base + "ful" } else { base })
    }
}

/// Phrases that may stand for one another.
///
/// The English table has five million pairs. Those with a word that no sentence has ([`super::vocabulary`]) can never
/// match, so a reader does well to leave them out.
#[derive(Clone, Debug, Default)]
pub struct Paraphrases {
    words: HashMap<String, u32>,
    phrases: Vec<Vec<u32>>,
    by_phrase: HashMap<Vec<u32>, Vec<u32>>,
    longest: usize,
}

impl Paraphrases {
    /// A phrase and a paraphrase of it.
    pub fn add(&mut self, phrase: &str, paraphrase: &str) {
        let (phrase, paraphrase) = (self.enter(phrase), self.enter(paraphrase));
        if phrase.is_empty() || paraphrase.is_empty() {
            return;
        }
        self.longest = self.longest.max(phrase.len());
        self.by_phrase.entry(phrase).or_default().push(self.phrases.len() as u32);
        self.phrases.push(paraphrase);
    }

    fn enter(&mut self, phrase: &str) -> Vec<u32> {
        let mut number = |word: &str| {
            let next = self.words.len() as u32;
            *self.words.entry(word.to_owned()).or_insert(next)
        };
        phrase.split_ascii_whitespace().map(&mut number).collect()
    }

    /// The words as numbers; `None` for those that no phrase has.
    pub(super) fn numbers(&self, words: &[String]) -> Vec<Option<u32>> {
        words.iter().map(|word| self.words.get(word).copied()).collect()
    }

    /// The paraphrases of the phrases a sentence begins with: the phrase's length, and the paraphrase.
    pub(super) fn starting<'a>(&'a self, sentence: &[Option<u32>]) -> Vec<(usize, &'a [u32])> {
        let known: Vec<u32> = sentence.iter().take(self.longest).map_while(|word| *word).collect();
        let mut found = Vec::new();
        for length in 1..=known.len() {
            if let Some(paraphrases) = self.by_phrase.get(&known[..length]) {
                found.extend(paraphrases.iter().map(|&p| (length, self.phrases[p as usize].as_slice())));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_forms_are_found() {
        let mut synonyms = Synonyms::default();
        synonyms.add_sets("man", vec![7]);
        synonyms.add_sets("bake", vec![3]);
        synonyms.add_sets("go", vec![5]);
        synonyms.add_irregular("go", "went gone");
        let of = |word| synonyms.of(word);
        assert_eq!((of("men"), of("baking"), of("bakes"), of("went")), (vec![7], vec![3], vec![3], vec![5]));
        assert_eq!((of("glass"), of("as"), of("")), (vec![], vec![], vec![]));
    }

    #[test]
    fn phrases_are_found_at_the_beginning() {
        let mut paraphrases = Paraphrases::default();
        paraphrases.add("a lot of", "many");
        paraphrases.add("a", "many");
        paraphrases.add("", "nothing");
        let words = ["a", "lot", "of", "x"].map(str::to_owned);
        let found = paraphrases.starting(&paraphrases.numbers(&words));
        assert_eq!(found.iter().map(|(length, _)| *length).collect::<Vec<_>>(), [1, 3]);
        assert!(found.iter().all(|(_, phrase)| phrase.len() == 1));
    }
}
