package dataset

import (
	"regexp"
	"strings"

	"lorac/runtime/data/tokenizer"
)

// wikiRules undo the tokenisation of WikiText, in order (MindFormers r1.3
// llama_preprocess.py, clean_wikitext).
var wikiRules = []struct {
	re *regexp.Regexp // nil: the plain text old
	to string
	of string
}{
	{of: "s '", to: "s'"},
	{of: " @-@ ", to: "-"}, {of: " @,@ ", to: ","}, {of: " @.@ ", to: "."},
	{of: " : ", to: ": "}, {of: " ; ", to: "; "}, {of: " . ", to: ". "}, {of: " ! ", to: "! "}, {of: " ? ", to: "? "}, {of: " , ", to: ", "},
	{re: regexp.MustCompile(`\(\s*([^\)]*?)\s*\)`), to: `($1)`},
	{re: regexp.MustCompile(`\[\s*([^\]]*?)\s*\]`), to: `[$1]`},
	{re: regexp.MustCompile(`{\s*([^}]*?)\s*}`), to: `{$1}`},
	{re: regexp.MustCompile(`"\s*([^"]*?)\s*"`), to: `"$1"`},
	{re: regexp.MustCompile(`'\s*([^']*?)\s*'`), to: `'$1'`},
	{of: "= = = =", to: "===="}, {of: "= = =", to: "==="}, {of: "= =", to: "=="},
	{of: " ° ", to: "°"},
	{of: " \n", to: "\n"}, {of: "\n ", to: "\n"},
	{of: " N ", to: " 1 "}, {of: " 's", to: "'s"},
}

// cleanWikiText applies them.
func cleanWikiText(s string) string {
	for _, r := range wikiRules {
		if r.re != nil {
			s = r.re.ReplaceAllString(s, r.to)
		} else {
			s = strings.ReplaceAll(s, r.of, r.to)
		}
	}
	return s
}

// Wiki makes rows of seqLength+1 ids of a text, as llama_preprocess.py does
// for dataset_type wiki: paragraphs that are no headings, each with its BOS and
// EOS, end to end; what does not fill a row is left over (its number of ids). each, if not
// nil, is told how many paragraphs of all are done.
func Wiki(text string, tok *tokenizer.Tokenizer, seqLength, repeat int, each func(done, all int)) (rows [][]int32, left int) {
	var ids []int32
	paragraphs := strings.Split(cleanWikiText(text), "\n\n")
	for i, p := range paragraphs {
		if each != nil {
			each(i, len(paragraphs))
		}
		if s := strings.TrimSpace(p); s == "" || strings.HasPrefix(s, "=") {
			continue
		}
		ids = append(append(append(ids, tok.BOS()), tok.Encode(p)...), tok.EOS())
	}
	once := ids
	for range repeat - 1 {
		ids = append(ids, once...)
	}
	for full := seqLength + 1; len(ids) >= full; ids = ids[full:] {
		rows = append(rows, ids[:full])
	}
	return rows, len(ids)
}
