package rt

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/atomicfile"
)

// resultFile is where MindFormers writes what it predicts (r1.3
// trainer/base_trainer.py, predict_process).
const resultFile = "text_generation_result.txt"

// Predict continues each prompt, or starts from nothing. It writes the texts
// to text_generation_result.txt in the output directory and, as MindFormers
// has it, a Python list of them to the file of that name in the working
// directory, or where --save_file says.
func (r *Run) Predict() {
	if r.tok == nil {
		r.fail(1, "prediction needs a tokenizer; give --tokenizer tokenizer.model")
	}
	prompts := r.prompts()
	var texts, listed []string
	for i, p := range prompts {
		text := r.generate(p, i)
		texts = append(texts, text)
		listed = append(listed, "{'text_generation_text': ["+pyQuote(text)+"]}")
	}
	write := func(path, text string) {
		err := atomicfile.WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
		if err != nil {
			r.fail(3, "%v", err)
		}
	}
	write(filepath.Join(r.job.Output, resultFile), strings.Join(texts, "\n"))
	list := resultFile
	if f := r.opts.SaveFile; f != nil {
		list = *f
	}
	if list != "" {
		write(list, "["+strings.Join(listed, ", ")+"]")
	}
}

// prompts are those of --predict_data, else of input_data in the config. A
// single one that names a file stands for its lines. The two characters \n
// mean a line break.
func (r *Run) prompts() []string {
	list := r.opts.Prompts
	if len(list) == 0 {
		list = r.job.Predict.Input
	}
	if len(list) == 0 {
		return []string{""}
	}
	if info, err := os.Stat(list[0]); len(list) == 1 && err == nil && info.Mode().IsRegular() {
		text, err := os.ReadFile(list[0])
		if err != nil {
			r.fail(1, "cannot read the prompts: %v", err)
		}
		list = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = strings.ReplaceAll(strings.TrimSuffix(p, "\r"), `\n`, "\n")
	}
	return out
}

// generate streams one text and returns it, the prompt included.
func (r *Run) generate(prompt string, number int) string {
	ids := append([]int32{int32(r.job.BosID)}, r.tok.Encode(prompt)...)
	if limit := r.longest(len(ids)); len(ids) >= limit {
		r.fail(1, "the prompt has %d ids, the longest text %d\n  = help: --max_length, at most seq_length %d", len(ids)-1, limit-1, r.job.SeqLength)
	}
	var text strings.Builder
	shown := 0
	show := func() {
		s := strings.TrimPrefix(text.String(), " ")
		if safe := completeRunes(s); safe > shown {
			fmt.Print(s[shown:safe])
			shown = safe
		}
	}
	for _, id := range ids {
		text.WriteString(r.tok.Piece(id))
	}
	show()
	r.continuation(ids, number, func(id int32) {
		text.WriteString(r.tok.Piece(id))
		show()
	})
	fmt.Println()
	return strings.TrimPrefix(text.String(), " ")
}

// longest is the most ids of a text whose prompt has n: max_new_tokens wins
// over max_length, and seq_length bounds both. The first id, which begins
// every text, is not counted by max_length.
func (r *Run) longest(n int) int {
	p := &r.job.Predict
	limit := p.MaxLength
	if p.MaxNew > 0 {
		limit = n - 1 + p.MaxNew
	}
	return min(limit, r.job.SeqLength) + 1
}

// continuation generates ids behind a prompt until one ends the text; it is
// not among the result.
func (r *Run) continuation(prompt []int32, number int, emit func(int32)) []int32 {
	j := r.job
	ids := append([]int32(nil), prompt...)
	s := &sampler{Predict: j.Predict, seed: mix(uint64(j.Seed)) + uint64(number), eos: j.EosIDs}
	s.least = max(j.Predict.MinLength+1, 0)
	if j.Predict.MinNew > 0 {
		s.least = max(s.least, len(prompt)+j.Predict.MinNew)
	}
	logits := r.texts()
	for limit := r.longest(len(prompt)); len(ids) < limit; {
		id := s.pick(logits(ids), ids)
		if stops(id, j.EosIDs) || id == int32(j.BosID) {
			break
		}
		ids = append(ids, id)
		emit(id)
	}
	return ids[len(prompt):]
}

// completeRunes is the length of s without a character cut in half at its end.
func completeRunes(s string) int {
	for n := len(s); n > max(0, len(s)-4); n-- {
		if c := s[n-1]; c < 0x80 {
			return n
		} else if c >= 0xC0 {
			size := 2
			if c >= 0xE0 {
				size = 3
			}
			if c >= 0xF0 {
				size = 4
			}
			if len(s)-(n-1) >= size {
				return len(s)
			}
			return n - 1
		}
	}
	return len(s)
}

func stops(id int32, eos []int) bool {
	for _, e := range eos {
		if int(id) == e {
			return true
		}
	}
	return false
}
