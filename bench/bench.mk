# What the door costs beside nginx and Caddy doing the same work; see
# docs/performance.md. BENCH=quick takes under a minute; BEFORE=PROGRAM measures
# an earlier onedoor beside it; ONLY=TEXT measures the parts of that name.
.PHONY: bench
bench:
	@tools/deps bench
	$(MAKE) build
	go run ./bench -door ./onedoor -out bench/result.json $(if $(filter quick,$(BENCH)),-quick) $(if $(BEFORE),-before $(BEFORE)) $(if $(ONLY),-only '$(ONLY)')

# What one login costs, through the door and directly, at the same Keycloak.
.PHONY: bench-login
bench-login:
	@tools/deps bench-login
	$(MAKE) build
	go run ./bench -login -door ./onedoor -out bench/login.json $(if $(filter quick,$(BENCH)),-quick)
