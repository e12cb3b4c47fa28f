package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"usher/features/classifier/corpus"
	"usher/features/classifier/train"
)

// articlesHead is the name of a knowledge base's head.
const articlesHead = "kb"

// config is the recipe with what the options change.
func (o *trainOptions) config() train.Config {
	cfg := train.Default(o.name)
	cfg.Split, cfg.Version, cfg.Seed = o.split, o.version, o.seed
	cfg.Rank, cfg.MaxRows = o.rank, o.rows
	cfg.Noise = train.Noise{Typos: o.typos, Latin: o.latin}
	if o.head != "" {
		cfg.Head = o.head
	}
	if o.epochs > 0 {
		cfg.Epochs = o.epochs
	}
	if o.holdout >= 0 {
		cfg.Holdout = o.holdout
	}
	return cfg
}

// heads reads what the options name: the labels, then a head per column, then the articles.
func (o *trainOptions) heads(cfg *train.Config) ([]train.Head, error) {
	rows, err := readRows(o.in)
	if err != nil {
		return nil, err
	}
	heads := []train.Head{{Name: cfg.Head, Rows: rows, Thresholds: cfg.Thresholds}}
	for _, also := range o.also {
		column, plain, _ := strings.Cut(also, "=")
		if column == "" || column == cfg.Head || column == corpus.LabelColumn {
			return nil, usagef("--also %s: name a column, other than label and the first head", also)
		}
		rows, err := readLabels(o.in, column)
		if err != nil {
			return nil, err
		}
		heads = append(heads, train.Head{Name: column, Rows: rows, Plain: plain})
	}
	if o.articles == "" {
		return heads, nil
	}
	f, err := os.Open(o.articles)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{err}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	articles, err := train.ReadArticles(f, o.articles)
	if err != nil {
		return nil, err
	}
	var unrelated []corpus.Row
	for _, r := range rows {
		if r.Label == train.Other {
			unrelated = append(unrelated, r)
		}
	}
	kb := train.KnowledgeBase(articlesHead, articles, unrelated)
	for i := range kb.Rows {
		kb.Rows[i].Split = cfg.Split // articles have none
	}
	return append(heads, kb), nil
}
