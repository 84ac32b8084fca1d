package infer

import (
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/mindrecord"
	"lorac/runtime/exit"
)

// Question is a prompt with the answer that is expected, as ids.
type Question struct{ Prompt, Answer []int32 }

// emF1 continues every prompt of the evaluation set as prediction does and
// scores the texts.
func (e *Evaluator) emF1() (*EmF1, error) {
	if e.Gen.Tok == nil || e.Gen.logits == nil {
		return nil, exit.Inputf("EmF1Metric reads generated text, which needs a tokenizer; give --tokenizer tokenizer.model")
	}
	m := &EmF1{}
	questions := e.Questions()
	fits := func(q *Question) bool { return len(q.Prompt) > 0 && len(q.Prompt) < e.Job.SeqLength }
	score := func(i int, answer []byte) {
		q := &questions[i]
		if !fits(q) {
			e.Say("question %d is left out: its prompt has %d ids, seq_length is %d", i+1, len(q.Prompt), e.Job.SeqLength)
			return
		}
		m.Add(string(answer), e.Gen.Tok.Decode(q.Answer))
		if int(m.n)%10 == 0 {
			f1, em := m.Scores()
			e.Say("F1 score: %s, Em score: %s, current_count: %.0f", pyFloat(f1), pyFloat(em), m.n)
		}
	}
	if e.Spread == nil {
		return m, e.answers(questions, fits, score)
	}
	err := e.Spread.each(len(questions), func(i int) (answer []byte, err error) {
		if !fits(&questions[i]) {
			return nil, nil
		}
		err = e.Gen.Continue([]Prompt{{questions[i].Prompt, i}}, func(int, int32) {}, func(_ int, ids []int32) { answer = []byte(e.Gen.Tok.Decode(ids)) })
		return answer, err
	}, score)
	return m, err
}

// answers continues the prompts that fit; score sees all answers in order.
func (e *Evaluator) answers(questions []Question, fits func(*Question) bool, score func(i int, answer []byte)) error {
	var prompts []Prompt
	for i := range questions {
		if fits(&questions[i]) {
			prompts = append(prompts, Prompt{questions[i].Prompt, i})
		}
	}
	got, next := map[int][]byte{}, 0
	show := func() {
		for ; next < len(questions); next++ {
			answer, ok := got[next]
			if !ok && fits(&questions[next]) {
				return
			}
			score(next, answer)
			delete(got, next)
		}
	}
	show()
	return e.Gen.Continue(prompts, func(int, int32) {}, func(i int, ids []int32) {
		got[prompts[i].Number] = []byte(e.Gen.Tok.Decode(ids))
		show()
	})
}

// Questions reads the evaluation set as prompts and answers. A MindRecord file
// of MindFormers' squad_data_process.py has the ids of the answer in its
// labels; rows of all other kinds are a prompt and, supervised, its answer.
func (e *Evaluator) Questions() []Question {
	if list := e.recordedQuestions(); list != nil {
		return list
	}
	var out []Question
	for i := range e.Set.Len() {
		row := e.Set.Row(i)
		at := 1
		for at < len(row.Labels) && row.Labels[at] == dataset.Ignore {
			at++
		}
		q := Question{Prompt: row.Tokens[:at]}
		for t := at; t < len(row.Labels); t++ {
			if l := row.Labels[t]; l != dataset.Ignore && !stops(l, e.Job.EosIDs) && l != int32(e.Job.PadID) {
				q.Answer = append(q.Answer, l)
			}
		}
		out = append(out, q)
	}
	return out
}

// recordedQuestions is nil unless the data are MindRecord files whose labels
// are answers: nothing is ignored in them, and they are not the inputs.
func (e *Evaluator) recordedQuestions() (out []Question) {
	set, err := mindrecord.OpenFiles(e.Set.Stats.Files)
	if err != nil {
		return nil
	}
	defer set.Close()
	if !set.HasColumn("input_ids") || !set.HasColumn("labels") {
		return nil
	}
	pad, answers := int64(e.Job.PadID), true
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
			answers = answers && l != int64(e.Job.IgnoreID) && l >= 0 && l < int64(e.Job.Vocab)
			same = same && ids[i] == l
		}
		answers = answers && !same
		out = append(out, Question{upToPad(ids, pad), upToPad(labels, pad)})
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
