package main

import (
	"testing"

	"usher/cmd/usher/internal/config"
	"usher/features/classifier/demo"
)

// The model's own thresholds hold until the configuration says otherwise.
func TestModelThresholdsAreTheFirstLayer(t *testing.T) {
	m, err := demo.Model()
	if err != nil {
		t.Fatal(err)
	}
	own := m.Heads()[0].Thresholds.MinScope
	if own == nil || *own == 0 {
		t.Fatal("the demo model brings no min_scope: this test needs another model")
	}
	c := config.Default()
	at := func(tenant string) (autoAt, minScope float64) {
		t.Helper()
		all, err := cutoffs(c, m)
		if err != nil {
			t.Fatal(err)
		}
		p := all[tenant].At(0, nil)
		return p.AutoAt, p.MinScope
	}
	if autoAt, minScope := at(""); autoAt != 0.9 || minScope != *own {
		t.Errorf("without configuration: auto_at %v, min_scope %v; want 0.9 and the model's %v",
			autoAt, minScope, *own)
	}
	c.Classifier.Thresholds.AutoAt = 0.8
	if autoAt, minScope := at(""); autoAt != 0.8 || minScope != *own {
		t.Errorf("with auto_at 0.8: auto_at %v, min_scope %v", autoAt, minScope)
	}
	strict := 0.97
	label := m.Heads()[0].Labels[0]
	c.Tenants["salon7"] = config.Tenant{Labels: map[string]config.Threshold{label: {AutoAt: &strict}}}
	if autoAt, minScope := at("salon7"); autoAt != strict || minScope != *own {
		t.Errorf("of a tenant: auto_at %v, min_scope %v", autoAt, minScope)
	}
}
