package codegen

import (
	"sort"
	"strings"
)

// settingTree arranges the job's settings by the struct they belong to.
type settingTree struct {
	name   string
	val    any
	line   int
	fields []*settingTree
}

func (v *view) settings() []*settingTree {
	root := &settingTree{}
	for _, s := range v.m.Settings {
		if strings.HasPrefix(s.Key, "ir.") || strings.HasPrefix(s.Key, "size.") || s.Key == "hash" {
			continue
		}
		n := root
		parts := strings.Split(s.Key, ".")
		for i, part := range parts {
			var next *settingTree
			for _, f := range n.fields {
				if f.name == part {
					next = f
				}
			}
			if next == nil {
				next = &settingTree{name: part}
				n.fields = append(n.fields, next)
			}
			if i == len(parts)-1 {
				next.val, next.line = s.Val, s.Pos.Line
			}
			n = next
		}
	}
	sort.SliceStable(root.fields, func(i, j int) bool { return len(root.fields[i].fields) < len(root.fields[j].fields) })
	return root.fields
}
