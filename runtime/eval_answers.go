package rt

import (
	"strings"

	"lorac/runtime/data/dataset"
	"lorac/runtime/data/mindrecord"
)

// question is a prompt with the answer that is expected.
type question struct{ prompt, answer []int32 }

// measureEmF1 continues every prompt of the evaluation set as prediction does
// and scores the texts.
func (r *Run) measureEmF1() *emF1 {
	if r.tok == nil || r.logits == nil {
		r.fail(1, "EmF1Metric reads generated text, which needs a tokenizer; give --tokenizer tokenizer.model")
	}
	m := &emF1{}
	list := r.questions()
	for i, q := range list {
		if len(q.prompt) == 0 || len(q.prompt) >= r.job.SeqLength {
			r.say("question %d is left out: its prompt has %d ids, seq_length is %d", i+1, len(q.prompt), r.job.SeqLength)
			continue
		}
		got := r.continuation(q.prompt, i, func(int32) {})
		m.add(r.tok.Decode(got), r.tok.Decode(q.answer))
		if int(m.n)%10 == 0 {
			f1, em := m.scores()
			r.say("F1 score: %s, Em score: %s, current_count: %.0f", pyFloat(f1), pyFloat(em), m.n)
		}
	}
	return m
}

// questions reads the evaluation set as prompts and answers. A MindRecord file
// of MindFormers' squad_data_process.py has the ids of the answer in its
// labels; rows of all other kinds are a prompt and, supervised, its answer.
func (r *Run) questions() []question {
	if list := r.recordedQuestions(); list != nil {
		return list
	}
	var out []question
	for i := range r.eval.Len() {
		row := r.eval.Row(i)
		at := 1
		for at < len(row.Labels) && row.Labels[at] == dataset.Ignore {
			at++
		}
		q := question{prompt: row.Tokens[:at]}
		for t := at; t < len(row.Labels); t++ {
			if l := row.Labels[t]; l != dataset.Ignore && !stops(l, r.job.EosIDs) && l != int32(r.job.PadID) {
				q.answer = append(q.answer, l)
			}
		}
		out = append(out, q)
	}
	return out
}

// recordedQuestions is nil unless the data are MindRecord files whose labels
// are answers: nothing is ignored in them, and they are not the inputs.
func (r *Run) recordedQuestions() (out []question) {
	set, err := mindrecord.OpenFiles(r.eval.Stats.Files)
	if err != nil {
		return nil
	}
	defer set.Close()
	if !set.HasColumn("input_ids") || !set.HasColumn("labels") {
		return nil
	}
	pad, answers := int64(r.job.PadID), true
	err = set.Each(func(rec *mindrecord.Record) error {
		ids, err := rec.Ints("input_ids")
		if err != nil {
			return err
		}
		labels, err := rec.Ints("labels")
		if err != nil {
			return err
		}
		same := len(ids) == len(labels)
		for i, l := range labels {
			answers = answers && l != int64(r.job.IgnoreID) && l >= 0 && l < int64(r.job.Vocab)
			same = same && ids[i] == l
		}
		answers = answers && !same
		out = append(out, question{upToPad(ids, pad), upToPad(labels, pad)})
		return nil
	})
	if err != nil || !answers {
		return nil
	}
	return out
}

// upToPad cuts the padding at the end.
func upToPad(x []int64, pad int64) []int32 {
	end := len(x)
	for end > 0 && x[end-1] == pad {
		end--
	}
	out := make([]int32, end)
	for i := range out {
		out[i] = int32(x[i])
	}
	return out
}

// pyFloat writes a number as Python does.
func pyFloat(x float64) string { return python(x, 64) }

// pyQuote writes a string as Python's repr does.
func pyQuote(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, c := range s {
		switch {
		case string(c) == quote || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < ' ' || c == 0x7F:
			b.WriteString(`\x` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
		default:
			b.WriteRune(c)
		}
	}
	return b.String() + quote
}
