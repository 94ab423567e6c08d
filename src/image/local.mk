# src/image
noinst_LIBRARIES += libimage.a
libimage_a_SOURCES = \
	src/image/build.c \
	src/image/build.h \
	src/image/build_base.c \
	src/image/build_exec.c \
	src/image/build_host.c \
	src/image/build_image.c \
	src/image/build_inside.c \
	src/image/build_inside.h \
	src/image/build_jail.c \
	src/image/build_kernel.c \
	src/image/build_layers.c \
	src/image/build_log.c \
	src/image/build_private.h \
	src/image/build_steps.c \
	src/image/hostbase.c \
	src/image/hostbase.h \
	src/image/initramfs.c \
	src/image/initramfs.h \
	src/image/modules.c \
	src/image/modules.h \
	src/image/template.c \
	src/image/template.h \
	src/image/template_build.c \
	src/image/template_build.h \
	src/image/templates.c \
	src/image/vmlinux.c \
	src/image/vmlinux.h \
	src/image/yaml.h \
	src/image/yaml_doc.c \
	src/image/yaml_doc.h \
	src/image/yaml_read.c \
	src/image/yaml_typo.c \
	src/image/yaml_typo.h
