package codegen

import (
	"fmt"
	"reflect"

	"lorac/ir"
	rt "lorac/runtime"
)

// Job is the job of a module as its trainer will have it.
func Job(m *ir.Module) (*rt.Job, error) {
	v := &view{m: m}
	j := &rt.Job{Name: m.Name, Source: m.Source, Hash: m.Identity(), MaxRows: m.MaxEnv()["T"]}
	if err := fill(reflect.ValueOf(j).Elem(), v.settings()); err != nil {
		return nil, err
	}
	return j, nil
}

// fill sets the fields of a struct from the settings of the same names.
func fill(to reflect.Value, settings []*settingTree) error {
	for _, s := range settings {
		f := to.FieldByName(exported(s.name))
		if !f.IsValid() {
			return fmt.Errorf("the trainer's job has no field for the setting `%s`", s.name)
		}
		if s.fields != nil {
			if err := fill(f, s.fields); err != nil {
				return err
			}
			continue
		}
		x := reflect.ValueOf(s.val)
		if list, ok := s.val.([]any); ok {
			x = reflect.MakeSlice(f.Type(), len(list), len(list))
			for i, e := range list {
				x.Index(i).Set(reflect.ValueOf(e).Convert(f.Type().Elem()))
			}
		}
		if !x.CanConvert(f.Type()) || x.Kind() == reflect.Int && f.Kind() == reflect.String {
			return fmt.Errorf("the setting `%s` is a %s, the trainer's job wants a %s", s.name, x.Type(), f.Type())
		}
		f.Set(x.Convert(f.Type()))
	}
	return nil
}
