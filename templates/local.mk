templatesdir = $(pkgdatadir)/templates
dist_templates_DATA = \
	templates/base.yaml \
	templates/code-interpreter-v1.yaml
