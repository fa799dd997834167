// Layers that stand alone: norm and activation, pools, dropout and sums.
#pragma once

#include "values.h"

namespace ws {

// Calls f(from, to, length) for each run of pixels of a map behind a halo and of the same map
// without.
template <class T, class F> inline void rows(const Value<T>& value, F f) {
  const ptrdiff_t length = (ptrdiff_t)value.side * value.n;
  for (int c = 0; c < value.channels; c++)
    for (int y = 0; y < value.side; y++)
      f(value.inner() + c * value.channel() + y * value.line(),
        c * value.plain() + y * length, length);
}

// Batch norm, activation, or the one and then the other.
template <class T> class Point : public Layer<T> {
 public:
  Point(bool normed, bool active, Value<T>& in, Value<T>& out, Place place)
      : normed_(normed), active_(active), in_(in), out_(out), place_(place) {
    if (in.halo) z_.make((size_t)in.channels * in.plain());
    norms_.resize(in.channels);
  }

  void forward(Net<T>& net, bool training) override {
    if (in_.halo)
      rows(in_, [&](const T* from, ptrdiff_t at, ptrdiff_t length) {
        std::memcpy(z_.p + at, from, length * sizeof(T));
      });
    const T *w = net.weights + place_.at, *base = z();
    const ptrdiff_t count = in_.plain();
    with_function(active_, net.activation, [&](auto a) {
      for (int c = 0; c < in_.channels; c++) {
        norms_[c] = normed_ ? norm_of(base + c * count, count, w[c], w[in_.channels + c],
                                      net.stats[place_.stat] + c, net.stats[place_.stat + 1] + c,
                                      training)
                            : Norm<T>{};
        activate<T, decltype(a)>(base + c * count, in_.side, in_.n, false, norms_[c],
                                 out_.inner() + c * out_.channel(), out_.line());
      }
    });
  }

  void backward(Net<T>& net) override {
    T *g = net.gradient + place_.at, *to = in_.wanted ? in_.begin() : nullptr;
    const T* base = z();
    const ptrdiff_t count = in_.plain();
    if (!to && !normed_) return;
    if (!to && !spare_.p) spare_.make(count);
    with_function(active_, net.activation, [&](auto a) {
      for (int c = 0; c < in_.channels; c++) {
        const auto found = back<T, decltype(a)>(
            base + c * count, in_.side, in_.n, false, normed_, norms_[c],
            out_.inner() + c * out_.channel(), out_.line(), out_.d + c * count,
            to ? to + c * count : spare_.p, (ptrdiff_t)in_.side * in_.n);
        if (normed_) g[c] = found.shift, g[in_.channels + c] = found.scale;
      }
    });
    if (to) in_.end();
  }

 private:
  const T* z() const { return in_.halo ? z_.p : in_.x.p; }

  bool normed_, active_;
  Value<T>&in_, &out_;
  Place place_;
  Array<T> z_, spare_;
  std::vector<Norm<T>> norms_;
};

struct PoolShape {
  int kind, size, stride, padding;  // kind 0: max, 1: average, 2: average of `size` equal parts
};

template <class T> class Pool : public Layer<T> {
 public:
  Pool(PoolShape shape, Value<T>& in, Value<T>& out) : s_(shape), in_(in), out_(out) {
    if (s_.kind == 0) which_.make((size_t)out.channels * out.plain());
  }

  void forward(Net<T>&, bool) override {
    each([&](int c, const Part& rows, const Part& columns, ptrdiff_t at, T* to) {
      const T* from = in_.inner() + c * in_.channel();
      const T share = T(1) / rows.share / columns.share;
      along<T>(in_.n, [&](ptrdiff_t j, int lanes, bool whole) {
        Vec<T> found{}, which{};
        bool begun = false;
        for (int y = rows.begin; y < rows.end; y++)
          for (int x = columns.begin; x < columns.end; x++) {
            const Vec<T> v = fetch(from + y * in_.line() + (ptrdiff_t)x * in_.n + j, lanes, whole);
            if (s_.kind) found += v;
            else if (!begun) found = v, which = all(T(y * in_.side + x)), begun = true;
            else {
              const Int<T> more = v > found;
              found = more ? v : found;
              which = more ? all(T(y * in_.side + x)) : which;
            }
          }
        put(to + j, s_.kind ? found * share : found, lanes, whole);
        if (!s_.kind) put(which_.p + at + j, which, lanes, whole);
      });
    });
  }

  void backward(Net<T>&) override {
    if (!in_.wanted) return;
    T* d = in_.begin();
    std::memset(static_cast<void*>(d), 0, in_.count() * sizeof(T));
    each([&](int c, const Part& rows, const Part& columns, ptrdiff_t at, T*) {
      const T share = T(1) / rows.share / columns.share;
      along<T>(in_.n, [&](ptrdiff_t j, int lanes, bool whole) {
        Vec<T> g = fetch(out_.d + at + j, lanes, whole);
        if (s_.kind) g *= share;
        const Vec<T> which = s_.kind ? Vec<T>{} : fetch(which_.p + at + j, lanes, whole);
        for (int y = rows.begin; y < rows.end; y++)
          for (int x = columns.begin; x < columns.end; x++) {
            T* to = d + c * in_.plain() + ((ptrdiff_t)y * in_.side + x) * in_.n + j;
            const Vec<T> mine = s_.kind ? g : (which == T(y * in_.side + x) ? g : Vec<T>{});
            put(to, fetch(to, lanes, whole) + mine, lanes, whole);
          }
      });
    });
    in_.end();
  }

 private:
  struct Part {  // pixels begin..end - 1 count, each as 1 / share
    int begin, end, share;
  };

  Part part(int i) const {
    if (s_.kind == 2) {
      const int begin = i * in_.side / s_.size;
      const int end = ((i + 1) * in_.side + s_.size - 1) / s_.size;
      return {begin, end, end - begin};
    }
    const int begin = i * s_.stride - s_.padding;
    return {std::max(begin, 0), std::min(begin + s_.size, in_.side), s_.size};
  }

  // Calls f(channel, rows, columns, position without halo, output) for each output pixel.
  template <class F> void each(F f) {
    for (int c = 0; c < out_.channels; c++)
      for (int y = 0; y < out_.side; y++)
        for (int x = 0; x < out_.side; x++)
          f(c, part(y), part(x),
            c * out_.plain() + ((ptrdiff_t)y * out_.side + x) * out_.n,
            out_.inner() + c * out_.channel() + y * out_.line() + (ptrdiff_t)x * out_.n);
  }

  PoolShape s_;
  Value<T>&in_, &out_;
  Array<T> which_;  // the position of the first largest pixel
};

template <class T> class Dropout : public Layer<T> {
 public:
  Dropout(bool channels, Value<T>& in, Value<T>& out, Place place)
      : channels_(channels), in_(in), out_(out), place_(place) {}

  void forward(Net<T>& net, bool training) override {
    const T* mask = training ? net.masks[place_.mask] : nullptr;
    each(mask, [&](int c, int y, int x, ptrdiff_t, auto factor) {
      const T* from = in_.inner() + c * in_.channel() + y * in_.line() + (ptrdiff_t)x * in_.n;
      T* to = out_.inner() + c * out_.channel() + y * out_.line() + (ptrdiff_t)x * out_.n;
      for (int i = 0; i < in_.n; i++) to[i] = from[i] * factor(i);
    });
  }

  void backward(Net<T>& net) override {
    if (!in_.wanted) return;
    T* d = in_.begin();
    each(net.masks[place_.mask], [&](int, int, int, ptrdiff_t at, auto factor) {
      for (int i = 0; i < in_.n; i++) d[at + i] = out_.d[at + i] * factor(i);
    });
    in_.end();
  }

 private:
  template <class F> void each(const T* mask, F f) {
    const ptrdiff_t pixels = (ptrdiff_t)in_.side * in_.side;
    const ptrdiff_t all = channels_ ? in_.channels : in_.channels * pixels;
    for (int c = 0; c < in_.channels; c++)
      for (int y = 0; y < in_.side; y++)
        for (int x = 0; x < in_.side; x++) {
          const ptrdiff_t pixel = (ptrdiff_t)y * in_.side + x;
          const ptrdiff_t value = channels_ ? c : c * pixels + pixel;
          f(c, y, x, (c * pixels + pixel) * in_.n,
            [&](int i) { return mask ? mask[i * all + value] : T(1); });
        }
  }

  bool channels_;
  Value<T>&in_, &out_;
  Place place_;
};

// The sum of two maps, and an activation of it.
template <class T> class Sum : public Layer<T> {
 public:
  Sum(bool active, Value<T>& one, Value<T>& other, Value<T>& out)
      : active_(active), shared_(one.share(out)), one_(one), other_(other), out_(out) {}

  void forward(Net<T>& net, bool) override {
    with_function(active_, net.activation, [&](auto act) {
      each([&](const T* a, const T* b, T* out, ptrdiff_t, ptrdiff_t length) {
        along<T>(length, [&](ptrdiff_t j, int lanes, bool whole) {
          const Vec<T> u = fetch(a + j, lanes, whole) + fetch(b + j, lanes, whole);
          put(out + j, decltype(act)::template f<T>(u), lanes, whole);
        });
      });
    });
  }

  void backward(Net<T>& net) override {
    if (active_)
      with_function(true, net.activation, [&](auto act) {
        each([&](const T* a, const T* b, T* out, ptrdiff_t at, ptrdiff_t length) {
          T* d = out_.d + at;
          along<T>(length, [&](ptrdiff_t j, int lanes, bool whole) {
            const Vec<T> u = fetch(a + j, lanes, whole) + fetch(b + j, lanes, whole);
            const Vec<T> slope = decltype(act)::template df<T>(u, fetch(out + j, lanes, whole));
            put(d + j, fetch(d + j, lanes, whole) * slope, lanes, whole);
          });
        });
      });
    if (shared_) one_.end();
    for (Value<T>* in : {&one_, &other_}) {
      if (!in->wanted || (shared_ && in == &one_)) continue;
      std::memcpy(in->begin(), out_.d, out_.count() * sizeof(T));
      in->end();
    }
  }

 private:
  // Calls f(one, other, output, position without halo, length) for each row of each channel.
  template <class F> void each(F f) {
    const ptrdiff_t length = (ptrdiff_t)out_.side * out_.n;
    for (int c = 0; c < out_.channels; c++)
      for (int y = 0; y < out_.side; y++)
        f(one_.inner() + c * one_.channel() + y * one_.line(),
          other_.inner() + c * other_.channel() + y * other_.line(),
          out_.inner() + c * out_.channel() + y * out_.line(), c * out_.plain() + y * length,
          length);
  }

  bool active_, shared_;  // shared: the gradient of `one` is that of the sum
  Value<T>&one_, &other_, &out_;
};

}  // namespace ws
