noinst_LIBRARIES += libvmm.a
libvmm_a_SOURCES = \
	src/vmm/answer.c src/vmm/answer.h \
	src/vmm/events.c src/vmm/events.h \
	src/vmm/drivers.c src/vmm/vmm.h \
	src/vmm/machine.c src/vmm/machine.h \
	src/vmm/images.c src/vmm/images.h \
	src/vmm/namespace/driver.c \
	src/vmm/namespace/namespace.h \
	src/vmm/namespace/probe.c \
	src/vmm/firecracker/api.c src/vmm/firecracker/api.h \
	src/vmm/firecracker/body.c src/vmm/firecracker/body.h \
	src/vmm/firecracker/create.c \
	src/vmm/firecracker/driver.c \
	src/vmm/firecracker/exit.c src/vmm/firecracker/exit.h \
	src/vmm/firecracker/firecracker.h \
	src/vmm/firecracker/http.c src/vmm/firecracker/http.h \
	src/vmm/firecracker/inst.c \
	src/vmm/firecracker/power.c \
	src/vmm/firecracker/probe.c \
	src/vmm/firecracker/tail.c src/vmm/firecracker/tail.h \
	src/vmm/firecracker/version.c src/vmm/firecracker/version.h \
	src/vmm/qemu/create.c \
	src/vmm/qemu/driver.c \
	src/vmm/qemu/inst.c \
	src/vmm/qemu/known.c \
	src/vmm/qemu/power.c \
	src/vmm/qemu/probe.c \
	src/vmm/qemu/qemu.h \
	src/vmm/qemu/qmp.c src/vmm/qemu/qmp.h
