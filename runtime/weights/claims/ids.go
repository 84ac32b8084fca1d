package claims

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// IDs are tokens that end a text: one or several.
type IDs []int

func (d IDs) String() string {
	if len(d) == 1 {
		return fmt.Sprint(d[0])
	}
	return strings.ReplaceAll(fmt.Sprint([]int(d)), " ", ", ")
}

// share reports whether two lists of ends have one in common: a model may know more ends
// than a config names.
func (d IDs) share(o IDs) bool {
	return slices.ContainsFunc(d, func(id int) bool { return slices.Contains(o, id) })
}

// idKeys are the keys of control tokens, in files and in model_config.
var idKeys = []string{"bos_token_id", "eos_token_id", "pad_token_id"}

// IsID reports whether a claim is about the id of a control token.
func (c Claim) IsID() bool { return slices.Contains(idKeys, c.Key) }

// ids claims the control tokens. Most files have no pad_token_id, and null or -1 says
// that there is none.
func (o *object) ids() {
	for _, key := range idKeys {
		list, several := o.get(key).([]any)
		if !several {
			x, ok := o.number(key)
			if !ok {
				continue
			}
			list = []any{x}
		}
		var ids IDs
		for _, v := range list {
			x, ok := v.(float64)
			if !ok || x != math.Trunc(x) || x > math.MaxInt32 {
				o.wrong(key, v, "a whole number")
			} else if x >= 0 {
				ids = append(ids, int(x))
			}
		}
		switch {
		case len(ids) == 0:
		case key == "eos_token_id":
			o.add(key, ids, key)
		case len(ids) == 1:
			o.add(key, ids[0], key)
		default:
			o.wrong(key, strings.Trim(fmt.Sprint(list), "[]"), "one number")
		}
	}
}

// Generation reads generation_config.json, of which the ids of control tokens count.
func Generation(file string, text []byte) ([]Claim, error) {
	o, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	o.ids()
	return o.list, o.fault
}

// Ends gives the ends of generation_config.json to the claim of config.json where they
// hold all of that: texts end with config.json's, and generating stops at all.
func Ends(list []Claim) {
	at := -1
	for i, c := range list {
		more, ok := c.Value.(IDs)
		switch {
		case !ok:
		case at < 0:
			at = i
		default:
			own := list[at].Value.(IDs)
			if slices.ContainsFunc(own, func(id int) bool { return !slices.Contains(more, id) }) {
				continue
			}
			all := slices.Clone(own)
			for _, id := range more {
				if !slices.Contains(all, id) {
					all = append(all, id)
				}
			}
			if len(all) > len(own) {
				list[at].Value = all
				list[at].Place.Name += fmt.Sprintf("; %s", c.Place)
			}
		}
	}
}
