package preview

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"usher/dashboards/macros"
)

// board is what the server must know of a dashboard; the browser gets the whole model, less its SQL.
type board struct {
	UID         string  `json:"uid"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Panels      []panel `json:"panels"`
	Templating  struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`

	open json.RawMessage // the model without SQL
}

type panel struct {
	ID        int      `json:"id"`
	Title     string   `json:"title"`
	Interval  string   `json:"interval"`
	PointsMax int      `json:"maxDataPoints"`
	Targets   []target `json:"targets"`
	Panels    []panel  `json:"panels"` // of a row that is folded
}

type target struct {
	RefID  string `json:"refId"`
	RawSQL string `json:"rawSql"`
	Format int    `json:"format"`
	Hide   bool   `json:"hide"`
}

type variable struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Query      json.RawMessage `json:"query"`
	Multi      bool            `json:"multi"`
	IncludeAll bool            `json:"includeAll"`
	AllValue   string          `json:"allValue"`
	Options    []struct {
		Value any `json:"value"`
	} `json:"options"`
	Current struct {
		Value any `json:"value"`
	} `json:"current"`
}

type annotation struct {
	Name   string `json:"name"`
	Target target `json:"target"`
}

// sql is the query of a variable that has one.
func (v *variable) sql() string {
	if v.Type != "query" {
		return ""
	}
	var text string
	if json.Unmarshal(v.Query, &text) == nil {
		return text
	}
	var whole struct {
		RawSQL string `json:"rawSql"`
		Query  string `json:"query"`
	}
	_ = json.Unmarshal(v.Query, &whole)
	return whole.RawSQL + whole.Query
}

// listed are the values that a variable without a query offers.
func (v *variable) listed() []string {
	var out []string
	for _, o := range v.Options {
		out = append(out, fmt.Sprint(o.Value))
	}
	if v.Type != "query" && len(out) == 0 {
		var text string
		_ = json.Unmarshal(v.Query, &text)
		for part := range strings.SplitSeq(text, ",") {
			_, value, ok := strings.Cut(part, " : ") // "text : value"
			if !ok {
				value = part
			}
			out = append(out, strings.TrimSpace(value))
		}
	}
	return out
}

// readBoard reads a generated dashboard and refuses one whose SQL could not be filled in safely.
func readBoard(raw []byte) (*board, error) {
	var b board
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("cannot read a board: %w", err)
	}
	if err := b.safe(); err != nil {
		return nil, fmt.Errorf("cannot show board %s: %w", b.UID, err)
	}
	var model any
	if err := json.Unmarshal(raw, &model); err != nil {
		return nil, fmt.Errorf("cannot read board %s: %w", b.UID, err)
	}
	withoutSQL(model)
	var err error
	b.open, err = json.Marshal(model)
	return &b, err
}

// safe refuses a variable of one value that is free text and stands outside a string literal: there
// escaping would not help.
func (b *board) safe() error {
	for _, t := range b.statements() {
		for _, name := range macros.Names(t) {
			v := b.variable(name)
			if v == nil {
				return fmt.Errorf("a query uses $%s, which the board does not define", name)
			}
			if v.Multi || v.closed() {
				continue
			}
			for rest, at := t, 0; ; {
				next := max(strings.Index(rest[at:], "$"+name), strings.Index(rest[at:], "${"+name))
				if next < 0 {
					break
				}
				at += next
				if !inString(rest[:at]) {
					return fmt.Errorf("$%s takes one value and stands outside quotes", name)
				}
				at++
			}
		}
	}
	return nil
}

// statements are all SQL of the board.
func (b *board) statements() []string {
	var out []string
	for _, p := range b.all() {
		for _, t := range p.Targets {
			out = append(out, t.RawSQL)
		}
	}
	for i := range b.Templating.List {
		out = append(out, b.Templating.List[i].sql())
	}
	for _, a := range b.Annotations.List {
		out = append(out, a.Target.RawSQL)
	}
	return out
}

// closed reports whether only values that the board lists are taken.
func (v *variable) closed() bool {
	return v.Type == "custom" || v.Type == "interval" || v.Type == "constant"
}

// all are the panels, those of folded rows too.
func (b *board) all() []panel {
	var out []panel
	for _, p := range b.Panels {
		out = append(out, p)
		out = append(out, p.Panels...)
	}
	return out
}

func (b *board) panel(id int) *panel {
	all := b.all()
	if i := slices.IndexFunc(all, func(p panel) bool { return p.ID == id }); i >= 0 {
		return &all[i]
	}
	return nil
}

func (b *board) variable(name string) *variable {
	list := b.Templating.List
	if i := slices.IndexFunc(list, func(v variable) bool { return v.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// withoutSQL takes queries out of a decoded model.
func withoutSQL(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			withoutSQL(child)
		}
	case map[string]any:
		delete(node, "rawSql")
		if node["type"] == "query" {
			delete(node, "query")
		}
		for _, child := range node {
			withoutSQL(child)
		}
	}
}
