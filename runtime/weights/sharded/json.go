package sharded

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// jsonFile is a strategy file in JSON (MindSpore since 2.0, extension .json). Its
// maps have no order, so parameters are sorted by name.
type jsonFile struct {
	Stage     int `json:"current_stage"`
	Operators map[string]struct {
		Stage int     `json:"stage"`
		Cuts  [][]int `json:"strategy"`
	} `json:"parallel_strategy_item"`
	Params map[string]struct {
		Devices []int `json:"dev_matrix"`
		Map     []int `json:"tensor_map"`
		Shape   []int `json:"param_split_shape"`
		Offset  []int `json:"indices_offset"`
		Field   int   `json:"field"`
		OptStep int   `json:"opt_weight_shard_step"`
		OptSize int   `json:"opt_weight_shard_size"`
	} `json:"parallel_layout_item"`
}

func parseJSON(data []byte) (*File, error) {
	var j jsonFile
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&j); err != nil {
		return nil, err
	}
	f := &File{Stage: j.Stage}
	for _, name := range slices.Sorted(maps.Keys(j.Operators)) {
		o := j.Operators[name]
		f.Operators = append(f.Operators, Operator{name, o.Stage, o.Cuts})
	}
	for _, name := range slices.Sorted(maps.Keys(j.Params)) {
		p := j.Params[name]
		q := Param{Name: name, Field: p.Field, Shapes: [][]int{p.Shape}, Offset: [][]int{p.Offset},
			Layout: Layout{Devices: p.Devices, Map: p.Map, OptStep: p.OptStep, OptSize: p.OptSize}}
		if err := q.Layout.check(); err != nil {
			return nil, fmt.Errorf("the layout of %q: %w", name, err)
		}
		f.Params = append(f.Params, q)
	}
	return f, nil
}
