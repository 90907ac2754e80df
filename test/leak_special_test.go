package test

import (
	"net/url"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// leakSpecial asks by what belongs to no type: the parameters that begin with _, in every setting and combined (HF#2207 and HF#2853
// are servers that looked at the tenant for indexed parameters only), modifiers and values that are spelled like Bravo's.
func leakSpecial(bravo *cordontest.Tenant) (asks []leakAsk) {
	q := url.QueryEscape
	get := func(path string) { asks = append(asks, leakAsk{"GET", path, "", nil}) }
	settings := []string{"_total=none", "_total=estimate", "_total=accurate", "_summary=count", "_summary=true", "_summary=text", "_summary=data", "_summary=false", "_elements=id,name", "_count=0", "_count=1", "_count=1000",
		"_format=json", "_format=xml", "_pretty=true", "_sort=_lastUpdated", "_sort=-_lastUpdated", "_sort=_id", "_sort=-_id&_count=1", "_contained=true", "_list=only-bravo", "_text=bravosecret", "_content=bravosecret",
		"_filter=" + q("name eq bravosecret"), "_has:Observation:subject:code=8867-4", "_has:Observation:subject:_id=only-bravo", "_has:Group:member:name=bravosecret", "_include=*", "_include:iterate=Patient:organization",
		"_revinclude:iterate=Observation:subject", "_type=Patient", "_query=x", "_security=x", "_security:not=x", "_partition=" + bravo.ID, "_tenant=" + bravo.Slug}
	values := []string{"_id=only-bravo", "_id=shared,only-bravo", "_id:not=only-alpha", "_lastUpdated=gt2000", "_lastUpdated=le9999", "_lastUpdated:missing=false", "_tag=bravotag", "_tag:not=alphatag", "_tag=urn:tag|bravotag",
		"_profile=http://cordon.example/bravo", "_source=http://cordon.example/bravo", "_source:missing=true", "_tag:missing=true", ""}
	for typ := range leakTypes {
		for i, s := range settings {
			for j, v := range values {
				if typ == "Patient" || (i+j)%7 == len(typ)%7 { // for the others a part of the table, in turn
					get("/" + typ + "?" + strings.Trim(v+"&"+s, "&"))
				}
			}
		}
	}
	// Ids and words that fold, normalise or split to Bravo's: whatever makes keys of them must not meet.
	for _, id := range []string{"ONLY-BRAVO", "Only-Bravo", "only-bravo.", "only-bravo-", "only%2Dbravo", "only-bravo%20", "%20only-bravo", "only-bravo%00", "only-bravo%0a", "ｏnly-bravo", "only-bra%CC%81vo", "only%C2%ADbravo", "only-bravo%2f..",
		"only-bravo;shared", "only-bravo,shared", "Patient:only-bravo", bravo.ID + ":only-bravo", bravo.Slug + "%2Fonly-bravo", "1%3Aonly-bravo"} {
		for _, path := range []string{"/Patient/" + id, "/Patient/" + id + "/_history", "/Patient/" + id + "/$everything", "/Patient?_id=" + id, "/Observation?subject=Patient/" + id, "/Observation?subject=" + id} {
			get(path)
		}
	}
	for _, w := range []string{"BRAVOSECRET", norm.NFD.String("bravosécret"), norm.NFKC.String("ｂravosecret"), "ｂｒａｖｏｓｅｃｒｅｔ", "bravo\u00adsecret", "bravo\u200bsecret", "\ufeffbravosecret", "bravosecret\u202e", "brAVOsecreT", "bravosecret%", "%bravosecret", "_ravosecret", "*", "bravo*"} {
		for _, param := range []string{"name", "family", "name:exact", "identifier", "name:contains", "_tag"} {
			get("/Patient?" + param + "=" + q(w) + "&_total=accurate")
		}
	}
	for _, v := range []string{"urn:mrn|MRN-bravo", "urn:mrn%7CMRN|bravo", "urn|mrn|MRN-bravo", "urn:mrn:MRN-bravo", "|MRN-bravo", "urn:mrn|", "MRN-bravo|urn:mrn", "urn:mrn\\|MRN-bravo", "urn:mrn|mrn-bravo", "MRN-same"} {
		for _, mod := range []string{"", ":not", ":missing", ":text", ":of-type", ":in"} {
			get("/Patient?identifier" + mod + "=" + q(v) + "&_total=accurate")
		}
	}
	return asks
}

// inBundles sends questions again as entries of batches and transactions: the same answer is wanted where a Bundle asks.
func inBundles(asks []leakAsk) (out []leakAsk) {
	const each = 20
	var entries []string
	for _, a := range asks {
		if a.method == "GET" && len(a.headers) == 0 && !strings.ContainsAny(a.path, `"\`) {
			entries = append(entries, asking("GET", strings.TrimPrefix(a.path, "/")))
		}
	}
	for i := 0; i < len(entries); i += each {
		for _, kind := range []string{"batch", "transaction"} {
			out = append(out, leakAsk{"POST", "", bundleOf(kind, entries[i:min(i+each, len(entries))]...), nil})
		}
	}
	return out
}
