package dataset

import (
	"fmt"
	"regexp"
	"slices"

	"lorac/runtime/data/mindrecord"
)

// mindRecordName matches the names that MindFormers reads as MindRecord
// (dataset/causal_language_model_dataset.py).
var mindRecordName = regexp.MustCompile(`mindrecord\d*$`)

// IsMindRecord reports whether a file has the name of a MindRecord file.
func IsMindRecord(name string) bool { return mindRecordName.MatchString(name) }

// shardsOf lists all files of the data set that a file belongs to.
func shardsOf(path string) ([]string, error) {
	s, err := mindrecord.Open(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Paths(), nil
}

// readMindRecord reads one file of rows of ids: input_ids, and labels when
// there are any. As in MindFormers (models/llama/llama.py, construct) a
// position is supervised if its input is not padding and its target is not
// ignore_token_id. A row without such a position is kept.
func (r *reader) readMindRecord(file string) error {
	s, err := mindrecord.OpenFiles([]string{file})
	if err != nil {
		return err
	}
	defer s.Close()
	if !s.HasColumn("input_ids") {
		return fmt.Errorf("%s has no column input_ids; its columns are %v", file, columnsOf(s))
	}
	labelled := s.HasColumn("labels") && !r.o.NoLabels
	r.note("tokens")
	r.keepEmpty = true
	defer func() { r.keepEmpty = false }()
	row, ids := 0, &record{}
	return s.Each(func(rec *mindrecord.Record) error {
		row++
		var err error
		if ids.InputIDs, err = rec.IntsInto(ids.InputIDs, "input_ids"); err != nil {
			return err
		}
		if labelled {
			if ids.Labels, err = rec.IntsInto(ids.Labels, "labels"); err != nil {
				return err
			}
		}
		if err := r.addPadded(row, ids); err != nil {
			r.problem(fmt.Sprintf("%s row %d", file, row), err)
		}
		return nil
	})
}

// addPadded adds a row of ids and labels as MindFormers masks them: by the input in
// training, by the target in its PerplexityMetric.
func (r *reader) addPadded(row int, rec *record) error {
	tokens, labels, err := r.ids(rec)
	if err != nil {
		return err
	}
	for i := 1; i < len(tokens); i++ {
		switch {
		case r.o.ByTarget && tokens[i] == r.o.PadID, !r.o.ByTarget && tokens[i-1] == r.o.PadID:
			labels[i] = Ignore
		}
	}
	r.add(row, tokens, labels)
	return nil
}

func columnsOf(s *mindrecord.Set) []string {
	var out []string
	for name := range s.Schema().Fields {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
