package sharded

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// degreeKeys are those of a parallel_config that ParseDegrees takes.
var degreeKeys = []string{"data_parallel", "model_parallel", "pipeline_stage", "context_parallel", "vocab_emb_dp", "enable_parallel_optimizer", "offset"}

// ParseDegrees reads a parallel_config from its keys; offset is numbers with colons.
func ParseDegrees(parallel map[string]string) (Degrees, error) {
	d := Degrees{VocabDP: true} // MindFormers' default
	numbers := map[string]*int{"data_parallel": &d.Data, "model_parallel": &d.Model, "pipeline_stage": &d.Pipeline, "context_parallel": &d.Context}
	switches := map[string]*bool{"vocab_emb_dp": &d.VocabDP, "enable_parallel_optimizer": &d.OptimizerShard}
	for key, value := range parallel {
		var err error
		switch {
		case numbers[key] != nil:
			*numbers[key], err = strconv.Atoi(value)
			if err == nil && *numbers[key] < 1 {
				err = strconv.ErrRange
			}
		case switches[key] != nil:
			*switches[key], err = strconv.ParseBool(strings.ToLower(value))
		case key == "offset":
			for _, n := range strings.Split(value, ":") {
				var v int
				if v, err = strconv.Atoi(n); err != nil {
					break
				}
				d.Offset = append(d.Offset, v)
			}
		case !slices.Contains(degreeKeys, key):
			return d, fmt.Errorf("unknown key %s; it takes %s", key, strings.Join(degreeKeys, ", "))
		}
		if err != nil {
			return d, fmt.Errorf("%s=%s makes no sense", key, value)
		}
	}
	return d, nil
}

// Fits reports why a parameter of a model of so many layers cannot be distributed so.
func (s *Spread) Fits(name string, shape []int, layers int) error {
	for stage := range s.Stages {
		l, here, _, err := s.of(stage, name, len(shape), shape, 4, layers)
		if err == nil && here {
			_, err = l.Slice(shape)
		}
		if err != nil {
			return fmt.Errorf("%s cannot be distributed over %s: %w", name, s.From, err)
		}
	}
	return nil
}

// ParseSpread is the layout of a parallel_config that is one text: KEY=N,….
func ParseSpread(text string) (*Spread, error) {
	parallel := map[string]string{}
	for _, part := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		parallel[key] = value
	}
	d, err := ParseDegrees(parallel)
	if err != nil {
		return nil, err
	}
	return Of(d)
}
