/* What Python sees of the kernel: functions that check the kind and shape of every array and then let a loop run.
 *
 * The limited API of Python 3.11, the first that has the buffer protocol, so that one binary serves every later Python.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernel.h"

const char NO_MEMORY[] = "out of memory";
const char BAD_SIZES[] = "the sizes of the arrays do not fit together";
const char BAD_PLACES[] = "a position lies outside of its array";
uint64_t SECRET = UINT64_C(0x9E3779B97F4A7C15);

enum { MOST_ARGUMENTS = 12, MOST_RESULTS = 3 };

/* What a letter of a signature stands for. Capital letters are of arrays that are written to. */
typedef struct {
    char letter;
    const char *formats; /* of the buffer protocol; NULL for a number */
    Py_ssize_t itemsize;
    int dimensions;
} Kind;

static const Kind KINDS[] = {
    {'b', "B", 1, 1},  /* bytes */
    {'m', "?", 1, 1},  /* truth values */
    {'i', "il", 4, 1}, /* int32 */
    {'w', "lq", 8, 1}, /* int64 */
    {'t', "il", 4, 2}, /* a table of int32 */
    {'k', "lq", 8, 2}, /* a table of int64 */
    {'n', NULL, 0, 0}, /* a number */
};

static const Kind *kind_of(char letter) {
    for (size_t which = 0; which < sizeof KINDS / sizeof *KINDS; which++)
        if (KINDS[which].letter == (letter | 0x20))
            return &KINDS[which];
    return NULL;
}

static int take_number(PyObject *object, Argument *argument) {
    argument->number = PyLong_AsLongLong(object);
    return argument->number == -1 && PyErr_Occurred() ? -1 : 0;
}

static int take_array(PyObject *object, char letter, const Kind *kind, Py_buffer *view, Argument *argument) {
    int writable = letter != kind->letter ? PyBUF_WRITABLE : 0;
    if (PyObject_GetBuffer(object, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | writable) < 0)
        return -1;
    const char *format = view->format == NULL ? "B" : view->format;
    if (view->ndim != kind->dimensions || view->itemsize != kind->itemsize || strchr(kind->formats, format[0]) == NULL ||
        format[0] == '\0' || format[1] != '\0') {
        PyErr_Format(PyExc_ValueError, "an array of %d dimensions and the format %s, where %c was wanted", view->ndim,
                     format, letter);
        return -1;
    }
    static int64_t nothing[1];
    argument->at = view->len > 0 ? view->buf : nothing;
    argument->rows = view->shape[0];
    argument->columns = view->ndim > 1 ? view->shape[1] : 1;
    if ((uintptr_t)argument->at % (size_t)view->itemsize != 0) {
        PyErr_SetString(PyExc_ValueError, "an array is not aligned");
        return -1;
    }
    return 0;
}

static PyObject *results_of(const int64_t *results, int count) {
    if (count == 0)
        Py_RETURN_NONE;
    if (count == 1)
        return PyLong_FromLongLong(results[0]);
    PyObject *tuple = PyTuple_New(count);
    for (int place = 0; tuple != NULL && place < count; place++) {
        PyObject *number = PyLong_FromLongLong(results[place]);
        if (number == NULL || PyTuple_SetItem(tuple, place, number) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* Run a loop without Python's lock. */
static PyObject *run(PyObject *const *objects, Py_ssize_t given, const char *signature, Loop loop, int results) {
    Py_buffer views[MOST_ARGUMENTS];
    Argument arguments[MOST_ARGUMENTS];
    int64_t found[MOST_RESULTS] = {0};
    PyObject *returned = NULL;
    int taken = 0;
    memset(views, 0, sizeof views);
    memset(arguments, 0, sizeof arguments);
    if (given != (Py_ssize_t)strlen(signature)) {
        PyErr_Format(PyExc_TypeError, "%zd arguments, where %zu were wanted", given, strlen(signature));
        return NULL;
    }
    for (; signature[taken] != '\0'; taken++) {
        const Kind *kind = kind_of(signature[taken]);
        if (kind->formats == NULL ? take_number(objects[taken], &arguments[taken]) < 0
                                  : take_array(objects[taken], signature[taken], kind, &views[taken], &arguments[taken]) < 0)
            goto done;
    }
    const char *refused;
    Py_BEGIN_ALLOW_THREADS;
    refused = loop(arguments, found);
    Py_END_ALLOW_THREADS;
    if (refused == NO_MEMORY)
        PyErr_NoMemory();
    else if (refused != NULL)
        PyErr_SetString(PyExc_ValueError, refused);
    else
        returned = results_of(found, results);
done:
    for (int place = 0; place < MOST_ARGUMENTS; place++)
        PyBuffer_Release(&views[place]);
    return returned;
}

#define FUNCTION(name, signature, results)                                                                             \
    static PyObject *call_##name(PyObject *module, PyObject *const *objects, Py_ssize_t given) {                      \
        (void)module;                                                                                                  \
        return run(objects, given, signature, name, results);                                                         \
    }

FUNCTION(find_line_ends, "bW", 1)
FUNCTION(count_text, "bb", 1)
FUNCTION(count_either, "bbb", 2)
FUNCTION(tally, "bb", 3)
FUNCTION(find_pairs, "bwwbknMTWW", 0)
FUNCTION(cut_rows, "bwwnwMMTW", 0)
FUNCTION(measure, "twW", 0)
FUNCTION(copy, "btwwwnmBWTTW", 0)
FUNCTION(recode, "III", 1)
FUNCTION(finish, "TTB", 0)
FUNCTION(read_digits, "binnnWM", 1)
FUNCTION(find_doubtful, "biW", 1)
FUNCTION(cut_lists, "binIBI", 0)
FUNCTION(cut_urls, "biTW", 0)
FUNCTION(count_values, "bn", 1)
FUNCTION(cut_headers, "biMIIIIBIB", 3)

#define METHOD(name) {#name, (PyCFunction)(void (*)(void))call_##name, METH_FASTCALL, NULL}

static PyMethodDef METHODS[] = {
    METHOD(find_line_ends), METHOD(tally),         METHOD(find_pairs), METHOD(cut_rows),  METHOD(measure),
    METHOD(copy),           METHOD(finish),        METHOD(read_digits), METHOD(find_doubtful), METHOD(cut_lists),
    METHOD(cut_urls),       METHOD(count_values),  METHOD(count_text),
    METHOD(count_either),  METHOD(recode),        METHOD(cut_headers), {NULL, NULL, 0, NULL},
};

/* Take a secret from the system, so that outsiders cannot know which texts fall into one slot. */
static int draw_secret(PyObject *module) {
    (void)module;
    char *drawn;
    Py_ssize_t size;
    PyObject *os = PyImport_ImportModule("os");
    PyObject *bytes = os == NULL ? NULL : PyObject_CallMethod(os, "urandom", "i", (int)sizeof SECRET);
    int status = bytes == NULL ? -1 : PyBytes_AsStringAndSize(bytes, &drawn, &size);
    if (status == 0 && size == (Py_ssize_t)sizeof SECRET) {
        memcpy(&SECRET, drawn, sizeof SECRET);
        SECRET |= 1;
    }
    Py_XDECREF(bytes);
    Py_XDECREF(os);
    return status;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)draw_secret}, {0, NULL}};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_kernel", "The loops over the bytes of a log, compiled.", 0, METHODS, SLOTS, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&MODULE); }
